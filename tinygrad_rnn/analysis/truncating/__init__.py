"""What cutting backpropagation through time after k steps costs."""
