"""What a graph says about gradients in time, as numbers first: results are arrays that can show and plot themselves."""
