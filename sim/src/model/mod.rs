//! Every interleaving of a small world, driven by the real steps.
