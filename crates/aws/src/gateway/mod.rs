//! The upload API and the page behind a gateway: API Gateway's HTTP API or a function URL calls a Lambda function, which
//! has a tower service answer.
//!
//! Both send the same JSON, payload format 2.0 (API Gateway Developer Guide, "Working with AWS Lambda proxy integrations
//! for HTTP APIs"; Lambda Developer Guide, "Invoking Lambda function URLs"). It is read here and not by the crate
//! `lambda_http` (1.3 was looked at): that one panics on a path which is no URI, which is how an HTTP API passes on a path
//! with a space or an umlaut in it, as it decodes paths; it puts the stage in front of paths (its issues 450, 668 and
//! 919), where a router would have to know it; and it reads each event by trying nine other shapes' types.
//!
//! Who calls is what `requestContext.authorizer` says, which only AWS can write; no header is looked at for it.

mod answer;
mod call;
mod config;
mod serving;

pub use call::NotACall;
pub use config::{Config, sources};
pub use serving::{Serving, run};
