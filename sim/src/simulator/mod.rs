//! Long histories of the real pipeline on the real store, on a simulated disk and a virtual clock; one seed is one history.
