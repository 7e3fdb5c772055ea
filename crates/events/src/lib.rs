//! S3's events as JSON: written as S3 writes them, read from whoever sends them, and what functions answer to them.
//!
//! An event is a notice that a version exists. This crate knows what it looks like and nothing of what follows from it:
//! no pipeline, no queue, no HTTP, no clock.
//!
//! # Parts
//!
//! * [`Record`]: one record of a notification, as S3 writes it (S3 User Guide, "Event message structure").
//! * [`told`]: the notification that a function is invoked with for uploads, the same on every host.
//! * [`created`]: which objects a message of S3, of `EventBridge` or of a store like S3 tells of.
//! * [`answer`]: what a function's answer says, the same on every host.

pub mod answer;
mod read;
mod record;
mod told;

pub use read::{Unreadable, created};
pub use record::{Record, key_in_event, message, test_message};
pub use told::{Told, told};
