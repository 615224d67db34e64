"""What each figure shows, a module a figure; none knows a library that draws."""
