"""Who runs instructions: numpy call by call, or an interpreter that numba compiles."""
