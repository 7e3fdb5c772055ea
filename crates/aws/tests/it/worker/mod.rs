//! Turns on AWS: our own S3, and moto for SQS and `DynamoDB`.

mod chain;
mod invocations;
mod starting;
mod sweeping;
mod world;
