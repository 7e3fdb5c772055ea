//! A server that answers as it is told, for services that have no stand-in here; with what was asked of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use two_buckets_aws::{ClientOptions, Clients};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path, such as `POST /v1/submitjob`.
    pub(crate) what: String,
    /// By their names in small letters.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer.
    Of {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection ends without one.
    Cut,
    /// Nothing, as long as the other side waits.
    Silence,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self::ok(body.to_string())
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::Of {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// As services that speak JSON refuse.
    pub(crate) fn refused(status: u16, code: &str) -> Self {
        Self::Of {
            status,
            headers: vec![("x-amzn-errortype", code.to_owned())],
            body: format!(r#"{{"message":"planned {code}"}}"#),
        }
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Of {
                status,
                mut headers,
                body,
            } => {
                headers.push((name, value.to_owned()));
                Self::Of {
                    status,
                    headers,
                    body,
                }
            }
            other => other,
        }
    }
}

pub(crate) struct Canned {
    endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Canned {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (noted, answer) = (asked.clone(), Arc::new(answer));
        let serving = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(async move {
                    // A client that goes away is no failure of the server.
                    _ = serve(connection, &noted, &*answer).await;
                });
            }
        });
        Self {
            endpoint,
            asked,
            serving,
        }
    }

    /// What was asked since the last time this was asked.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Clients of all services here.
    pub(crate) async fn clients(&self) -> Clients {
        let credentials = Credentials::new("TESTKEY", "test/secret", None, None, "test");
        let options = ClientOptions {
            region: Some("eu-central-1".into()),
            endpoint_url: Some(self.endpoint.clone()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..ClientOptions::default()
        };
        Clients::from_environment(&options).await.unwrap()
    }
}

async fn serve(
    connection: TcpStream,
    noted: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut connection = BufStream::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    let what = line
        .rsplit_once(' ')
        .map_or("", |(what, _)| what)
        .to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    let asked = Asked {
        what,
        headers,
        body,
    };
    let reply = answer(&asked);
    noted.lock().unwrap().push(asked);
    match reply {
        Reply::Of {
            status,
            headers,
            body,
        } => {
            let mut head = format!(
                "HTTP/1.1 {status} planned\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
            connection
                .write_all(format!("{head}\r\n{body}").as_bytes())
                .await?;
            connection.shutdown().await
        }
        Reply::Cut => Ok(()),
        Reply::Silence => connection.read_u8().await.map(|_| ()),
    }
}
