//! The proof that no file is lost, doubled, mixed up or forgotten.
//!
//! [`model`] tries every interleaving of a small world; [`simulator`] tries long histories of a large one, a seed each.
//! Both drive the code that runs in the product: the steps of `pipeline`, and for the simulator its driver on `depot`.

pub mod model;
pub mod simulator;
