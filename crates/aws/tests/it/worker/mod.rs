//! Turns on AWS: our own S3, and moto for SQS and `DynamoDB`.

mod chain;
mod invocations;
mod jobs;
mod starting;
mod stopping;
mod sweeping;
mod world;
