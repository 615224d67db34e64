"""The page of a report: its HTML, its style, and the few lines by which series are hidden."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #111; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem;
  border-bottom: 1px solid #ccc; } h3 { font-size: 1rem; margin: 1.5rem 0 0; }
div { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e5e5e5;
  vertical-align: top; } th { font-weight: 600; white-space: nowrap; }
figure { margin: 0 0 2rem; } figure svg { max-width: 100%; height: auto; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
.billing { border-left: 4px solid #d55e00; padding-left: .8rem; font-weight: 600; }
.toggles label { margin-right: 1rem; white-space: nowrap; }
@media print { .toggles { display: none; } }
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
$figures
<h2 id="simulated">What was simulated</h2>
<h3>Settings that differ</h3>
$varied
<details><summary>Settings that all runs share</summary>$settings</details>
<h3>Versions</h3>
$versions
<h2 id="again">How to run it again</h2>
<p>Each run's folder holds its <code>scenario.yaml</code> with every default written out.</p>
<pre>$command</pre>
<details><summary>Scenario of the first run</summary><pre>$scenario</pre></details>
<script>
for (const box of document.querySelectorAll("[data-toggles]")) {
  box.addEventListener("change", () => {
    const of = `[data-series="$${box.dataset.toggles}"]`;
    for (const drawn of box.closest("figure").querySelectorAll(of)) {
      drawn.style.display = box.checked ? "" : "none";
    }
  });
}
</script>
</body>
</html>
"""
