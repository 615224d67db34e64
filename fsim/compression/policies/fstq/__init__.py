"""Fed-FSTQ (arXiv 2604.25421): allocation, quantiser, formats, and the policy that they make."""
