"""Record once, plan, replay: the unrolled graph at the speed of hand-written BPTT."""
