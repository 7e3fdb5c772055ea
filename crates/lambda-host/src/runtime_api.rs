//! The Runtime API of one environment over HTTP, on an address of its own.
//!
//! Paths, headers, status codes and error types are those of
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. Only the environment's own processes are served: on
//! Linux a connection is traced to the process that holds it, so a function cannot take or answer another's invocations.
//! One that was closed before it could be traced, as by a script that does not wait for the reply, may answer an
//! invocation, because it knows the invocation's random id, and nothing else.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::exchange::{Event, Exchange, Refusal};
use crate::failure::Failure;
use crate::function_error;
use crate::limits::RESPONSE_BYTES_MAX;

const ROOT: &str = "/2018-06-01/runtime/";

/// How many connections an environment may have at a time. A runtime needs one, and some open a new one for each call.
const CONNECTIONS_MAX: usize = 64;

/// How many connections of other processes are told that they are not wanted, rather than only closed, and for how long.
/// They are counted apart, so that they cannot keep the environment's own out.
const OTHERS_MAX: usize = 16;
const OTHERS_TIME_MAX: Duration = Duration::from_secs(2);

/// How much of a response that is too large is read and thrown away, so that the runtime sees the answer 413 rather than a
/// broken connection.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process of the environment.
    Own,
    /// Some other process.
    Stranger,
    /// Nobody any more.
    Gone,
}

/// Finds out who is at the other end of a connection, from that end's address and this one's. Blocks.
pub(crate) type FindCaller = Arc<dyn Fn(SocketAddr, SocketAddr) -> Caller + Send + Sync>;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    task: JoinHandle<()>,
    address: SocketAddr,
    activity: watch::Receiver<usize>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a free port of the loopback address.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

impl RuntimeApi {
    pub(crate) fn serve(
        listener: TcpListener,
        exchange: Arc<Exchange>,
        function_arn: HeaderValue,
        find_caller: FindCaller,
    ) -> io::Result<RuntimeApi> {
        let address = listener.local_addr()?;
        let (count, activity) = watch::channel(0);
        let service = Service {
            exchange,
            function_arn,
            count: Arc::new(count),
        };
        let task = tokio::spawn(accept(listener, service, find_caller));
        Ok(RuntimeApi {
            task,
            address,
            activity,
        })
    }

    /// Returns when everything that was sent before has been read: no connection is open, or waits to be accepted.
    pub(crate) async fn is_quiet(&mut self) {
        // They are accepted in their order, so those before a connection of ours were accepted when it is.
        if let Ok(mut last) = TcpStream::connect(self.address).await {
            // An error here is the connection's end, which is all that is waited for.
            last.shutdown().await.ok();
            last.read_to_end(&mut Vec::new()).await.ok();
        }
        // Fails only when nothing is served any more.
        self.activity.wait_for(|it| *it == 0).await.ok();
    }
}

/// How many connections are open and calls under way, as a count that each of them holds one of.
struct Active(Arc<watch::Sender<usize>>);

impl Active {
    fn one_more(count: &Arc<watch::Sender<usize>>) -> Active {
        count.send_modify(|it| *it += 1);
        Active(count.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|it| *it -= 1);
    }
}

/// What a connection needs.
#[derive(Clone)]
struct Service {
    exchange: Arc<Exchange>,
    function_arn: HeaderValue,
    count: Arc<watch::Sender<usize>>,
}

async fn accept(listener: TcpListener, service: Service, find_caller: FindCaller) {
    let mut own = JoinSet::new();
    let mut others = JoinSet::new();
    loop {
        while own.len() >= CONNECTIONS_MAX {
            own.join_next().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = own.join_next() => continue,
            Some(_) = others.join_next() => continue,
        };
        // Out of descriptors, or the peer is gone already: let others go first.
        let Ok((stream, peer)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(address) = stream.local_addr() else {
            continue;
        };
        let active = Active::one_more(&service.count);
        let find_caller = find_caller.clone();
        // Fails only when the program is being torn down.
        let caller = tokio::task::spawn_blocking(move || find_caller(peer, address))
            .await
            .unwrap_or(Caller::Gone);
        let served = serve(stream, caller, service.clone(), active);
        if caller == Caller::Own {
            own.spawn(served);
        } else if others.len() < OTHERS_MAX {
            others.spawn(async { drop(timeout(OTHERS_TIME_MAX, served).await) });
        }
    }
}

async fn serve(stream: TcpStream, caller: Caller, service: Service, _active: Active) {
    // Small answers go out at once; where that cannot be set they merely come later.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(answer(request, caller, service).await) }
    });
    // Whatever is wrong with a connection, the runtime sees it end; what that means for an invocation shows in time.
    // There is no time limit: a runtime may leave a connection open while it works for hours.
    http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(64 * 1024)
        // Who is gone has said all, and its end is no reason not to hear it.
        .half_close(caller == Caller::Gone)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

type Answered = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, caller: Caller, service: Service) -> Answered {
    let path = request.uri().path().to_owned();
    let Some(call) = path.strip_prefix(ROOT) else {
        return no_such_path();
    };
    let parts: Vec<&str> = call.split('/').collect();
    let wanted = match parts[..] {
        ["invocation", "next"] => Method::GET,
        ["init", "error"] | ["invocation", _, "response" | "error"] => Method::POST,
        _ => return no_such_path(),
    };
    if *request.method() != wanted {
        let mut answer = error(
            StatusCode::METHOD_NOT_ALLOWED,
            "InvalidRequest",
            "this path takes another method",
        );
        if let Ok(value) = HeaderValue::from_str(wanted.as_str()) {
            answer.headers_mut().insert(ALLOW, value);
        }
        return answer;
    }
    let is_allowed = match caller {
        Caller::Own => true,
        Caller::Gone => matches!(parts[..], ["invocation", _, _]),
        Caller::Stranger => false,
    };
    if !is_allowed {
        return error(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "this address belongs to another execution environment",
        );
    }
    if wanted == Method::GET {
        return next(&service.exchange, service.function_arn).await;
    }
    // By itself: what a runtime reported counts, though it closes the connection without waiting for the reply.
    let active = Active::one_more(&service.count);
    let told = tokio::spawn(async move {
        let answer = told(request, &path, &service.exchange).await;
        drop(active);
        answer
    });
    // Fails only when the program is being torn down.
    told.await.unwrap_or_else(|_| refused(Refusal::Ended))
}

async fn told(request: Request<Incoming>, path: &str, exchange: &Exchange) -> Answered {
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some("response"), Some(request_id)) => response(request, request_id, exchange).await,
        (Some("error"), Some("init")) => init_failed(request, exchange).await,
        (Some("error"), Some(request_id)) => function_failed(request, request_id, exchange).await,
        _ => no_such_path(),
    }
}

async fn next(exchange: &Exchange, function_arn: HeaderValue) -> Answered {
    let given = match exchange.next() {
        Ok(given) => given,
        Err(refusal) => return refused(refusal),
    };
    match given.await {
        Ok(event) => invocation(event, function_arn),
        Err(_ended) => refused(Refusal::Ended),
    }
}

fn invocation(event: Event, function_arn: HeaderValue) -> Answered {
    let mut answer = Response::new(Full::new(event.payload));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("Lambda-Runtime-Invoked-Function-Arn", function_arn);
    for (name, value) in [
        ("Lambda-Runtime-Aws-Request-Id", Some(event.request_id)),
        (
            "Lambda-Runtime-Deadline-Ms",
            Some(event.deadline_unix_ms.to_string()),
        ),
        ("Lambda-Runtime-Trace-Id", event.trace_id),
    ] {
        if let Some(value) = value.and_then(|it| HeaderValue::try_from(it).ok()) {
            headers.insert(name, value);
        }
    }
    answer
}

async fn response(request: Request<Incoming>, request_id: &str, exchange: &Exchange) -> Answered {
    if let Err(refusal) = exchange.begin_answer(request_id) {
        return refused(refusal);
    }
    let headers = request.headers().clone();
    let broke_off = BrokeOff::unless_told(exchange);
    match read(request.into_body(), RESPONSE_BYTES_MAX).await {
        Ok(Read::All { bytes, trailers }) => {
            broke_off.forget();
            exchange.answer(
                match function_error::at_the_end(&headers, &trailers, &bytes) {
                    Some(failure) => Err(failure),
                    None => Ok(bytes),
                },
            );
            accepted()
        }
        Ok(Read::TooMuch) => {
            broke_off.forget();
            exchange.answer(Err(Failure::ResponseTooLarge));
            error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                &format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."),
            )
        }
        Err(_) => error(
            StatusCode::BAD_REQUEST,
            "InvalidRequest",
            "the response broke off",
        ),
    }
}

async fn function_failed(
    request: Request<Incoming>,
    request_id: &str,
    exchange: &Exchange,
) -> Answered {
    if let Err(refusal) = exchange.begin_answer(request_id) {
        return refused(refusal);
    }
    let broke_off = BrokeOff::unless_told(exchange);
    let Some(failure) = reported(request).await else {
        return error(
            StatusCode::BAD_REQUEST,
            "InvalidRequest",
            "the error broke off",
        );
    };
    broke_off.forget();
    exchange.answer(Err(failure));
    accepted()
}

async fn init_failed(request: Request<Incoming>, exchange: &Exchange) -> Answered {
    let Some(failure) = reported(request).await else {
        return error(
            StatusCode::BAD_REQUEST,
            "InvalidRequest",
            "the error broke off",
        );
    };
    match exchange.init_failed(failure) {
        Ok(()) => accepted(),
        Err(refusal) => refused(refusal),
    }
}

/// The error a runtime reports. One whose body is too long is known by its header only.
async fn reported(request: Request<Incoming>) -> Option<Failure> {
    let headers = request.headers().clone();
    match read(request.into_body(), RESPONSE_BYTES_MAX).await {
        Ok(Read::All { bytes, .. }) => Some(function_error::reported(&headers, &bytes)),
        Ok(Read::TooMuch) => Some(function_error::reported(&headers, b"")),
        Err(_) => None,
    }
}

/// Tells the exchange that an answer it let in did not come whole, unless it is told that it did: also when the connection
/// ends and the call is dropped where it waits.
struct BrokeOff<'a> {
    exchange: Option<&'a Exchange>,
}

impl<'a> BrokeOff<'a> {
    fn unless_told(exchange: &'a Exchange) -> BrokeOff<'a> {
        BrokeOff {
            exchange: Some(exchange),
        }
    }

    fn forget(mut self) {
        self.exchange = None;
    }
}

impl Drop for BrokeOff<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange {
            exchange.answer_broke_off("its answer broke off before it was complete");
        }
    }
}

enum Read {
    All { bytes: Bytes, trailers: HeaderMap },
    TooMuch,
}

async fn read(mut body: Incoming, bytes_max: usize) -> hyper::Result<Read> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(bytes_max);
    let mut bytes = Vec::with_capacity(expected.min(bytes_max));
    let mut trailers = HeaderMap::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                length += data.len();
                if length <= bytes_max {
                    bytes.extend_from_slice(&data);
                } else if length > bytes_max + DISCARDED_BYTES_MAX {
                    return Ok(Read::TooMuch);
                } else {
                    bytes = Vec::new();
                }
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(if length > bytes_max {
        Read::TooMuch
    } else {
        Read::All {
            bytes: bytes.into(),
            trailers,
        }
    })
}

fn accepted() -> Answered {
    json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" }))
}

fn refused(refusal: Refusal) -> Answered {
    let (status, error_type) = match refusal {
        Refusal::UnknownRequest | Refusal::AlreadyAnswered => {
            (StatusCode::BAD_REQUEST, "InvalidRequestID")
        }
        Refusal::AlreadyAsked | Refusal::NotAnsweredYet | Refusal::NotStarting => {
            (StatusCode::FORBIDDEN, "InvalidStateTransition")
        }
        Refusal::Ended => (StatusCode::GONE, "Ended"),
    };
    error(status, error_type, refusal.words())
}

fn no_such_path() -> Answered {
    error(
        StatusCode::NOT_FOUND,
        "NotFound",
        "there is no such path in the Runtime API of 2018-06-01",
    )
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Answered {
    json(
        status,
        &serde_json::json!({ "errorType": error_type, "errorMessage": message }),
    )
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answered {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
