//! What only an operator at a command line asks: where a deployment has its parts, in whose name they act, and how it
//! stands with the parts. Behind the feature `operator`, so that Lambda functions do not build a client that they never
//! call.
//!
//! # Permissions
//!
//! `cloudformation:DescribeStacks` of the stack; `s3:ListBucket` of a bucket for its region; `sqs:GetQueueAttributes` of a
//! queue for what is in it. `sts:GetCallerIdentity` needs none.

mod bucket;
mod identity;
mod key;
mod queue;
mod stack;

pub use bucket::region_of_bucket;
pub use identity::{Clocks, Identity, identity};
pub use key::{NoCredentials, OwnKey, own_key};
pub use queue::{QueueFigures, queue_figures};
pub use stack::{LacksOutput, NoStack, Stack, describe};
