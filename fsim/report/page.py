"""The page of a report: its HTML, its style, and the few lines that draw its charts.

What may be fetched is said to the browser: nothing. The page is light whatever the reader's
preference, because the colours of the charts are chosen for white.
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="only light">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
  script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem;
  border-bottom: 1px solid #ccc; } h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h1, td, figcaption { overflow-wrap: anywhere; }
div { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e5e5e5;
  vertical-align: top; min-width: 4rem; } th { font-weight: 600; white-space: nowrap; }
td:first-child { min-width: 9rem; }
figure { margin: 0 0 2.5rem; } figcaption { color: #444; font-size: .85rem; }
[data-chart], [data-chart] div { overflow: visible; } .wide { min-width: 40rem; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
summary { cursor: pointer; }
.billing { border-left: 4px solid #d55e00; padding-left: .8rem; font-weight: 600; }
@media print { .modebar { display: none; } figure { break-inside: avoid; }
  pre { white-space: pre-wrap; } table { font-size: .7rem; }
  th, td, td:first-child { min-width: 0; padding-right: .4rem; white-space: normal; } }
</style>
</head>
<body>
<h1>$names</h1>
<p>$lead</p>
$billing
<nav><a href="#results">Results</a> · <a href="#warnings">Warnings</a> ·
<a href="#figures">Figures</a> · <a href="#simulated">What was simulated</a> ·
<a href="#again">How to run it again</a></nav>
<h2 id="results">Results</h2>
<p>Means over seeds, in brackets their range. A metric that not every seed has, because the target
was not reached, has no mean: it tells how many have it.</p>
$results
<details><summary>Every run</summary>$runs</details>
<h2 id="warnings">Warnings</h2>
$warnings
<h2 id="figures">Figures</h2>
<noscript><p>The figures are drawn by the script in this file, which your browser does not run.
<code>fsim plot</code> draws them as images.</p></noscript>
<p>A click on a name hides it or shows it again, a double click shows it alone. Dragging zooms, a
double click on the panel goes back.</p>
$figures
<h2 id="simulated">What was simulated</h2>
<p>Gradients, payloads, their decoding and averaging, and accuracies are real: they were computed.
Times, transfers, availability and energy are simulated, by these models.</p>
$models
<h3>Settings that differ</h3>
$varied
<details><summary>Settings that all runs share</summary>$settings</details>
<h3>Versions</h3>
$versions
<h2 id="again">How to run it again</h2>
<p>Each run's folder holds its <code>scenario.yaml</code> with every default written out.</p>
<pre>$command</pre>
<details><summary>Scenario of the first run</summary><pre>$scenario</pre></details>
<script>$plotly</script>
<script>
const CONFIG = {displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"]};
// The panels keep their height, whatever room the names below them take at this width.
async function fit(place) {
  const width = place.clientWidth;
  if (place.fitted === width) return;
  place.fitted = width;
  await Plotly.relayout(place, {width});
  const {height, _size: panels} = place._fullLayout;
  await Plotly.relayout(place, {height: place.layout.meta.height + height - panels.h});
}
const watching = new ResizeObserver((seen) => seen.forEach(({target}) => fit(target)));
const places = document.querySelectorAll("[data-chart]");
for (const place of places) {
  const {data, layout} = JSON.parse(place.closest("figure").querySelector("script").textContent);
  Plotly.newPlot(place, data, layout, CONFIG).then(() => watching.observe(place));
}
// Paper is narrower than a window, and nothing is drawn again for it.
const PAPER = 660;
addEventListener("beforeprint", () => {
  for (const place of places) {
    const width = place.clientWidth;
    Object.assign(place.style, {width: `$${width}px`, zoom: Math.min(1, PAPER / width)});
  }
});
addEventListener("afterprint", () => {
  for (const place of places) Object.assign(place.style, {width: "", zoom: ""});
});
</script>
</body>
</html>
"""
