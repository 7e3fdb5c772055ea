//! The way to a service, where calls are counted, answers get lost and the service answers as it may.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::Value;

/// A client's way to moto. Its requests go one after the other, as moto needs it; each is whole before the next, as on
/// the service.
#[derive(Clone)]
pub(crate) struct Wire {
    inner: aws_smithy_runtime_api::client::http::SharedHttpClient,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    one_at_a_time: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: Calls,
    /// What becomes of the next calls of these operations.
    planned: Vec<(&'static str, Trouble)>,
    met: usize,
}

/// What may become of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It arrives and is done, and its answer does not come.
    Lost,
    /// Nothing is done: one of the transaction's items is refused with this code.
    Cancelled(&'static str),
    /// Nothing is done: a single write meets a transaction on the same item.
    Conflict,
    /// Nothing of a batch is read this time, and the service asks for it again.
    Unprocessed,
}

/// What was called.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Calls {
    /// How often each operation, such as `PutItem`.
    pub(crate) by_operation: BTreeMap<String, u32>,
    /// What the writes cost at least, in write units of 1 KB (`DynamoDB` Developer Guide, "Capacity unit consumption"):
    /// twice in a transaction. Of deletes and updates the item's size is not known here and taken as 1 KB.
    pub(crate) write_units: u64,
    /// The largest item that was put, in bytes.
    pub(crate) item_bytes_max: u64,
}

impl Calls {
    pub(crate) fn total(&self) -> u32 {
        self.by_operation.values().sum()
    }
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            inner: aws_smithy_http_client::Builder::new().build_http(),
            shared: Arc::default(),
        }
    }

    /// A `DynamoDB` client over this wire.
    pub(crate) fn dynamodb(&self, endpoint: &str) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::for_tests())
            .endpoint_url(endpoint)
            .retry_config(
                RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1)),
            )
            .http_client(self.clone())
            .build();
        Client::from_conf(config)
    }

    /// What was called since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Calls {
        std::mem::take(&mut self.shared.seen.lock().unwrap().calls)
    }

    /// This becomes of the next call of an operation for which nothing is planned yet.
    pub(crate) fn plan(&self, operation: &'static str, trouble: Trouble) {
        let mut seen = self.shared.seen.lock().unwrap();
        seen.planned.push((operation, trouble));
    }

    /// How many troubles were met.
    pub(crate) fn met(&self) -> usize {
        self.shared.seen.lock().unwrap().met
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connection {
            inner: self.inner.http_connector(settings, components),
            shared: Arc::clone(&self.shared),
        })
    }
}

struct Connection {
    inner: SharedHttpConnector,
    shared: Arc<Shared>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = request
            .body()
            .bytes()
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default();
        let trouble = {
            let mut seen = self.shared.seen.lock().unwrap();
            seen.calls.see(&operation, &body);
            let planned = seen.planned.iter().position(|(name, _)| *name == operation);
            seen.met += usize::from(planned.is_some());
            planned.map(|at| seen.planned.remove(at).1)
        };
        let (inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        HttpConnectorFuture::new(async move {
            match trouble {
                None => {}
                Some(Trouble::Lost) => {
                    whole(inner, shared, request).await?;
                    return Err(ConnectorError::io("the answer was lost".into()));
                }
                Some(Trouble::Cancelled(code)) => return Ok(cancelled(&body, code)),
                Some(Trouble::Conflict) => {
                    let answer = serde_json::json!({
                        "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                        "message": "Transaction is ongoing for the item",
                    });
                    return Ok(answered(400, &answer));
                }
                Some(Trouble::Unprocessed) => {
                    let answer = serde_json::json!({
                        "Responses": {}, "UnprocessedKeys": body["RequestItems"],
                    });
                    return Ok(answered(200, &answer));
                }
            }
            whole(inner, shared, request).await
        })
    }
}

/// Sends a request in its turn. In a task of its own, so that who stops looking for its answer, for a while or for good,
/// does not keep the turn.
async fn whole(
    inner: SharedHttpConnector,
    shared: Arc<Shared>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let sent = tokio::spawn(async move {
        let _turn = shared.one_at_a_time.lock().await;
        inner.call(request).await
    });
    sent.await.expect("a connector does not panic")
}

/// The answer to a transaction of which the last item is refused (`DynamoDB` API, `TransactionCanceledException`).
fn cancelled(body: &Value, code: &str) -> HttpResponse {
    let count = body["TransactItems"].as_array().unwrap().len();
    let mut reasons = vec![serde_json::json!({"Code": "None"}); count - 1];
    reasons.push(serde_json::json!({"Code": code, "Message": "planned"}));
    let answer = serde_json::json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    answered(400, &answer)
}

fn answered(status: u16, body: &Value) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), body.to_string().into());
    let kind = "application/x-amz-json-1.0";
    response.headers_mut().insert("content-type", kind);
    response
}

impl Calls {
    fn see(&mut self, operation: &str, body: &Value) {
        *self.by_operation.entry(operation.to_owned()).or_default() += 1;
        match operation {
            "TransactWriteItems" => {
                for item in body["TransactItems"].as_array().unwrap() {
                    let units = item.get("Put").map_or(1, |put| self.put(put));
                    self.write_units += 2 * units;
                }
            }
            "PutItem" => self.write_units += self.put(body),
            "UpdateItem" | "DeleteItem" => self.write_units += 1,
            _ => {}
        }
    }

    fn put(&mut self, put: &Value) -> u64 {
        let bytes = size_of_map(&put["Item"]);
        self.item_bytes_max = self.item_bytes_max.max(bytes);
        bytes.div_ceil(1_024)
    }
}

/// The size of an item or a map in it (`DynamoDB` Developer Guide, "`DynamoDB` item sizes and formats"), in bytes.
fn size_of_map(map: &Value) -> u64 {
    let members = map.as_object().unwrap();
    members
        .iter()
        .map(|(name, value)| name.len() as u64 + size_of_value(value))
        .sum()
}

fn size_of_value(value: &Value) -> u64 {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" => value.as_str().unwrap().len() as u64,
        "N" => value.as_str().unwrap().len() as u64 / 2 + 2,
        "B" => value.as_str().unwrap().len() as u64 * 3 / 4,
        "BOOL" | "NULL" => 1,
        // Each nested value takes one byte more, each container three.
        "M" => 3 + value.as_object().unwrap().len() as u64 + size_of_map(value),
        "L" => {
            let values = value.as_array().unwrap();
            3 + values
                .iter()
                .map(|value| 1 + size_of_value(value))
                .sum::<u64>()
        }
        other => panic!("nothing here writes {other}"),
    }
}
