//! The protocol that moves uploads from staging to archive: pure steps and a thin driver.
