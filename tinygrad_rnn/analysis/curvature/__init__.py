"""Second derivatives through time: the largest curvatures of a loss, and a penalty on vanishing gradients."""
