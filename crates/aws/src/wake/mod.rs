//! Wake-ups through SQS.
//!
//! S3's events of the staging bucket arrive in a queue, directly or through EventBridge, and so do our own hints for
//! later. A message is deleted once its keys were looked at, whatever came of it: the ledger remembers, not the queue. What
//! comes back is what nobody finished looking at.
//!
//! Permissions: `sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` and `sqs:SendMessage` on the
//! one queue.

mod batch;
mod message;
mod receiver;
mod sender;

pub use batch::Batch;
pub use message::{Message, NotUnderstood, read};
pub use receiver::{Receiver, ReceiverOptions};
pub use sender::SqsWakeUps;
