//! A function on Rust's own runtime client, as one deploys it to Lambda: it does what its event says.
#![expect(clippy::print_stdout, reason = "a function's output is its log")]

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    println!("working on {event}");
    match event["do"].as_str() {
        Some("fail") => Err("it cannot be done".into()),
        Some("panic") => panic!("it went wrong"),
        Some("hang") => std::future::pending().await,
        Some("exit") => std::process::exit(3),
        _ => Ok(json!({
            "got": event,
            "request_id": context.request_id,
            "arn": context.invoked_function_arn,
            "deadline": context.deadline,
            "name": context.env_config.function_name,
            "memory": context.env_config.memory,
        })),
    }
}
