//! Where events of buckets can be sent: `[notifications.NAME]` in the configuration file.
//!
//! ```toml
//! [notifications.orders]
//! kind = "webhook"
//! url = "https://example.com/files"
//! secret_file = "orders.secret"      # signs each message; bearer_file sends a token
//! timeout_s = 10                     # the longest wait for an answer
//! concurrency = 8                    # messages on their way at once
//! events_max = 1000000               # how many are kept while it is away
//!
//! [notifications.queue]
//! kind = "sqs"
//! url = "https://sqs.eu-central-1.amazonaws.com/123456789012/files"
//! region = "eu-central-1"
//! credentials_file = "queue.credentials"   # as ~/.aws/credentials
//! ```
//!
//! Secrets come from files or from the environment, never from this file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use two_buckets_s3_api::Credentials;
use two_buckets_s3_api::notifications::TARGET_NAME_BYTES_MAX;
use two_buckets_uploads::WebOrigin;

use super::{Environment, Origin, Setting};

pub(super) const ENTRY: &str = "notifications";
/// The account in ARNs of what is in no account of AWS, as everywhere here.
const ACCOUNT: &str = "000000000000";
/// About a gigabyte of rows.
const EVENTS_MAX_DEFAULT: u64 = 1_000_000;
const TIMEOUT_S_DEFAULT: u64 = 10;
/// The longest wait; a receiver that works longer on a message should take it and work later.
const TIMEOUT_S_MAX: u64 = 300;
const CONCURRENCY_DEFAULT: u64 = 8;
const CONCURRENCY_MAX: u64 = 64;
/// The most targets.
const TARGETS_MAX: usize = 100;
/// The names that a target's table may have.
const NAMES: &str = "kind, url, region, allow_http, secret_file, bearer_file, credentials_file, timeout_s, concurrency, events_max";

/// Something that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where events can be sent.
#[derive(Clone, Debug)]
pub(crate) struct NotificationTarget {
    /// What it is called.
    pub(crate) name: String,
    /// Where it is. What stands behind the host may be a secret.
    pub(crate) url: Address,
    /// The ARNs that mean it, the one to write first.
    pub(crate) arns: Vec<String>,
    /// How a message is handed over.
    pub(crate) kind: TargetKind,
    /// The longest wait for an answer.
    pub(crate) timeout: Duration,
    /// How many messages are on their way at once.
    pub(crate) concurrency: usize,
    /// How many events are kept.
    pub(crate) events_max: u64,
}

/// How a message is handed over.
#[derive(Clone, Debug)]
pub(crate) enum TargetKind {
    /// By a POST of the message.
    Webhook {
        /// Signs it.
        secret: Option<Secret>,
        /// Is sent with it.
        bearer: Option<Secret>,
    },
    /// By `SendMessage`.
    Sqs {
        /// In the scope of the signature.
        region: String,
        /// The account and the name of the queue, as they stand in its URL.
        account: String,
        queue: String,
        /// Who sends; none where this process was not told, which only a server must be.
        sender: Option<Sender>,
    },
}

/// Who sends to a queue.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// The key pair.
    pub(crate) credentials: Credentials,
    /// With temporary ones.
    pub(crate) session_token: Option<Secret>,
}

impl NotificationTarget {
    /// What is missing to send to it.
    pub(crate) fn missing(&self) -> Option<String> {
        match &self.kind {
            TargetKind::Sqs { sender: None, .. } => Some(format!(
                "{ENTRY}.{} needs credentials: credentials_file, or {} and {} in the environment",
                self.name,
                variable_name(&self.name, "ACCESS_KEY_ID"),
                variable_name(&self.name, "SECRET_ACCESS_KEY")
            )),
            _ => None,
        }
    }

    /// What a stranger said, without what we had told him.
    pub(crate) fn conceal(&self, said: String) -> String {
        let secrets: Vec<&str> = match &self.kind {
            TargetKind::Webhook { secret, bearer } => [secret, bearer]
                .into_iter()
                .flatten()
                .map(|Secret(text)| &**text)
                .collect(),
            TargetKind::Sqs { sender, .. } => sender
                .iter()
                .flat_map(|sender| {
                    let token = sender.session_token.as_ref().map(|Secret(text)| text);
                    [Some(&sender.credentials.secret_access_key), token]
                })
                .flatten()
                .map(|text| &**text)
                .collect(),
        };
        secrets
            .into_iter()
            .fold(said, |said, secret| said.replace(secret, "..."))
    }
}

impl TargetKind {
    /// As the configuration has it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Sqs { .. } => "sqs",
        }
    }
}

/// A URL of which only the origin is shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// All of it.
    pub(crate) uri: Uri,
    /// Scheme, host and port.
    pub(crate) origin: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}/..)", self.origin)
    }
}

/// Reads the targets from their entry in the file. With a problem, that target is left out.
pub(super) fn take(
    entry: Option<toml::Value>,
    file: Option<&Path>,
    environment: &Environment,
    server_region: &str,
) -> (Setting<Vec<NotificationTarget>>, Vec<String>) {
    let (mut targets, mut problems) = (Vec::new(), Vec::new());
    let (Some(entry), Some(file)) = (entry, file) else {
        let none = Setting {
            value: targets,
            origin: Origin::Default,
        };
        return (none, problems);
    };
    match entry {
        toml::Value::Table(entries) if entries.len() <= TARGETS_MAX => {
            for (name, entry) in entries {
                match target(&name, entry, file, environment, server_region) {
                    Ok(target) => targets.push(target),
                    Err(problem) => {
                        problems.push(format!("{ENTRY}.{name} in {}: {problem}", file.display()));
                    }
                }
            }
        }
        toml::Value::Table(_) => problems.push(format!(
            "{ENTRY} in {}: there are more than {TARGETS_MAX}",
            file.display()
        )),
        _ => problems.push(format!(
            "{ENTRY} in {} must be tables of their own, [{ENTRY}.NAME]",
            file.display()
        )),
    }
    for (index, target) in targets.iter().enumerate() {
        for other in &targets[..index] {
            if let Some(arn) = target.arns.iter().find(|arn| other.arns.contains(arn)) {
                problems.push(format!(
                    "{ENTRY}.{} and {ENTRY}.{} in {} both have the ARN {arn}",
                    other.name,
                    target.name,
                    file.display()
                ));
            }
        }
    }
    let found = Setting {
        value: targets,
        origin: Origin::File(file.to_owned()),
    };
    (found, problems)
}

/// What is left to read of a target.
struct Entry<'a> {
    table: toml::Table,
    name: &'a str,
    folder: PathBuf,
    environment: &'a Environment,
}

fn target(
    name: &str,
    entry: toml::Value,
    file: &Path,
    environment: &Environment,
    server_region: &str,
) -> Result<NotificationTarget, String> {
    let is_name = (1..=TARGET_NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_name {
        return Err(format!(
            "a name has 1 to {TARGET_NAME_BYTES_MAX} letters, digits, - and _"
        ));
    }
    let toml::Value::Table(table) = entry else {
        return Err("must be a table".to_owned());
    };
    let mut entry = Entry {
        table,
        name,
        folder: file.parent().unwrap_or(Path::new("")).to_owned(),
        environment,
    };
    let kind = entry
        .text("kind")?
        .ok_or("has no kind, which is webhook or sqs")?;
    let url = entry.text("url")?.ok_or("has no url")?;
    let allow_http = entry.truth("allow_http")?;
    let url = address(&url, allow_http)?;
    let timeout = entry.number("timeout_s", 1, TIMEOUT_S_MAX, TIMEOUT_S_DEFAULT)?;
    let concurrency = entry.number("concurrency", 1, CONCURRENCY_MAX, CONCURRENCY_DEFAULT)?;
    let events_max = entry.number("events_max", 1, u64::MAX, EVENTS_MAX_DEFAULT)?;
    let (kind, arns) = match kind.as_str() {
        "webhook" => {
            let arn = format!("arn:aws:sqs:{server_region}:{ACCOUNT}:{name}");
            // As MinIO calls its webhooks, so that what was written for it goes on.
            let minios = format!("arn:minio:sqs::{name}:webhook");
            let kind = TargetKind::Webhook {
                secret: entry.secret("secret")?,
                bearer: entry.secret("bearer")?,
            };
            (kind, vec![arn, minios])
        }
        "sqs" => entry.sqs(&url, server_region)?,
        other => return Err(format!("kind is {other:?}; it can be webhook or sqs")),
    };
    entry.finish(kind.word())?;
    Ok(NotificationTarget {
        name: name.to_owned(),
        url,
        arns,
        kind,
        timeout: Duration::from_secs(timeout),
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        events_max,
    })
}

/// A URL that may be sent to: https, or this machine, or any by http where that was allowed in so many words.
fn address(text: &str, allow_http: bool) -> Result<Address, String> {
    // Not shown whole: what stands in a URL of a webhook is often its only secret.
    let no_url = || "its url is none; write it as https://example.com/path".to_owned();
    let uri: Uri = text.parse().map_err(|_| no_url())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(no_url());
    };
    if authority.as_str().contains('@') {
        return Err("its url must not name a user; use bearer_file or secret_file".to_owned());
    }
    let origin = format!("{scheme}://{authority}");
    let known: WebOrigin = origin.parse().map_err(|_| no_url())?;
    if !known.is_https() && !known.is_loopback() && !allow_http {
        return Err(format!(
            "its url must begin with https, or everybody between here and {origin} reads along; allow_http = true allows it"
        ));
    }
    Ok(Address { uri, origin })
}

impl Entry<'_> {
    fn sqs(
        &mut self,
        url: &Address,
        server_region: &str,
    ) -> Result<(TargetKind, Vec<String>), String> {
        let region = self.text("region")?.unwrap_or(server_region.to_owned());
        let path = url.uri.path().trim_matches('/').to_owned();
        // An endpoint alone means the queue of the target's name.
        let (account, queue) = match path.split_once('/') {
            None if path.is_empty() => (ACCOUNT.to_owned(), self.name.to_owned()),
            Some((account, queue)) if !queue.contains('/') => {
                (account.to_owned(), queue.to_owned())
            }
            _ => {
                return Err(
                    "its url must be a queue's, as https://sqs.eu-central-1.amazonaws.com/123456789012/files, or an endpoint without a path"
                        .to_owned(),
                );
            }
        };
        if std::path::Path::new(&queue)
            .extension()
            .is_some_and(|it| it == "fifo")
        {
            return Err("S3 sends no events to FIFO queues, and neither do we".to_owned());
        }
        let arn = format!("arn:aws:sqs:{region}:{account}:{queue}");
        let sender = self.sender()?;
        let kind = TargetKind::Sqs {
            region,
            account,
            queue,
            sender,
        };
        Ok((kind, vec![arn]))
    }

    fn sender(&mut self) -> Result<Option<Sender>, String> {
        let from_environment = (
            self.variable("ACCESS_KEY_ID")?,
            self.variable("SECRET_ACCESS_KEY")?,
        );
        let file = self.text("credentials_file")?;
        let (id, secret, token) = match (from_environment, file) {
            ((Some(id), Some(secret)), _) => (id, secret, self.variable("SESSION_TOKEN")?),
            (_, Some(file)) => {
                let path = self.folder.join(file);
                let text = read(&path)?;
                let value = |name: &str| {
                    text.lines().find_map(|line| {
                        let (key, value) = line.split_once('=')?;
                        (key.trim() == name).then(|| value.trim().to_owned())
                    })
                };
                match (value("aws_access_key_id"), value("aws_secret_access_key")) {
                    (Some(id), Some(secret)) => (id, secret, value("aws_session_token")),
                    _ => {
                        return Err(format!(
                            "{} has no aws_access_key_id and aws_secret_access_key",
                            path.display()
                        ));
                    }
                }
            }
            (_, None) => return Ok(None),
        };
        Ok(Some(Sender {
            credentials: Credentials {
                access_key_id: id,
                secret_access_key: secret,
            },
            session_token: token.map(Secret),
        }))
    }

    /// A secret: from the environment, or the first line of the file that is named.
    fn secret(&mut self, what: &str) -> Result<Option<Secret>, String> {
        let file = self.text(&format!("{what}_file"))?;
        if let Some(value) = self.variable(&what.to_ascii_uppercase())? {
            return Ok(Some(Secret(value)));
        }
        let Some(file) = file else { return Ok(None) };
        let path = self.folder.join(file);
        let text = read(&path)?;
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        let is_text = line
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if line.is_empty() || !is_text {
            return Err(format!(
                "{} must have the secret on its first line, in printable ASCII",
                path.display()
            ));
        }
        Ok(Some(Secret(line)))
    }

    fn variable(&self, what: &str) -> Result<Option<String>, String> {
        let name = variable_name(self.name, what);
        match self.environment.get(&name) {
            None => Ok(None),
            Some(value) => value
                .to_str()
                .filter(|text| {
                    text.bytes()
                        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
                })
                .map(|text| Some(text.to_owned()))
                .ok_or_else(|| format!("{name} must be printable ASCII")),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.table.remove(name) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{name} is {}, not a text", other.type_str())),
        }
    }

    fn truth(&mut self, name: &str) -> Result<bool, String> {
        match self.table.remove(name) {
            None => Ok(false),
            Some(toml::Value::Boolean(truth)) => Ok(truth),
            Some(_) => Err(format!("{name} must be true or false")),
        }
    }

    fn number(&mut self, name: &str, min: u64, max: u64, default: u64) -> Result<u64, String> {
        match self.table.remove(name) {
            None => Ok(default),
            Some(toml::Value::Integer(number)) => u64::try_from(number)
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| format!("{name} must be {min} to {max}")),
            Some(_) => Err(format!("{name} is no whole number")),
        }
    }

    fn finish(self, kind: &str) -> Result<(), String> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(name) if NAMES.split(", ").any(|known| known == name) => {
                Err(format!("{name} means nothing to a target of kind {kind}"))
            }
            Some(name) => Err(format!("{name} means nothing; there are {NAMES}")),
        }
    }
}

fn variable_name(target: &str, what: &str) -> String {
    let name = target.to_ascii_uppercase().replace('-', "_");
    format!("TWO_BUCKETS_NOTIFICATIONS_{name}_{what}")
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn taken(file: &str, variables: &[(&str, &str)]) -> (Vec<NotificationTarget>, Vec<String>) {
        let mut table: toml::Table = file.parse().unwrap();
        let variables: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let (targets, problems) = take(
            table.remove(ENTRY),
            Some(Path::new("/nowhere/config.toml")),
            &Environment(variables),
            "eu-west-1",
        );
        assert!(table.is_empty());
        (targets.value, problems)
    }

    const KEYS: [(&str, &str); 2] = [
        ("TWO_BUCKETS_NOTIFICATIONS_MY_QUEUE_ACCESS_KEY_ID", "AKID"),
        (
            "TWO_BUCKETS_NOTIFICATIONS_MY_QUEUE_SECRET_ACCESS_KEY",
            "hush",
        ),
    ];

    #[test]
    fn a_targets_arn_is_made_of_what_it_is() {
        for (file, arns) in [
            (
                "[notifications.hook]\nkind = 'webhook'\nurl = 'https://example.com/x?key=hush'",
                vec![
                    "arn:aws:sqs:eu-west-1:000000000000:hook",
                    "arn:minio:sqs::hook:webhook",
                ],
            ),
            (
                "[notifications.my-queue]\nkind = 'sqs'\nregion = 'eu-central-1'\n\
                 url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/files'",
                vec!["arn:aws:sqs:eu-central-1:123456789012:files"],
            ),
            (
                "[notifications.my-queue]\nkind = 'sqs'\nurl = 'http://127.0.0.1:5000'",
                vec!["arn:aws:sqs:eu-west-1:000000000000:my-queue"],
            ),
        ] {
            let (targets, problems) = taken(file, &KEYS);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(targets[0].arns, arns);
            let shown = format!("{targets:?}");
            assert!(!shown.contains("hush"), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_a_target_is_said_without_its_secrets() {
        for (entry, words) in [
            ("kind = 'webhook'", "no url"),
            ("url = 'https://example.com'", "no kind"),
            (
                "kind = 'sns'\nurl = 'https://example.com'",
                "webhook or sqs",
            ),
            ("kind = 'webhook'\nurl = 'http://example.com/hush'", "https"),
            (
                "kind = 'webhook'\nurl = 'https://u:hush@example.com'",
                "user",
            ),
            ("kind = 'webhook'\nurl = 'hush'", "write it as"),
            ("kind = 'sqs'\nurl = 'https://example.com/a/b/c'", "queue's"),
            ("kind = 'sqs'\nurl = 'https://example.com/a/b.fifo'", "FIFO"),
            (
                "kind = 'webhook'\nurl = 'https://example.com'\nregion = 'a'",
                "webhook",
            ),
            (
                "kind = 'webhook'\nurl = 'https://example.com'\nsecrets = 'hush'",
                "means nothing",
            ),
            (
                "kind = 'webhook'\nurl = 'https://example.com'\ntimeout_s = 0",
                "1 to",
            ),
            (
                "kind = 'webhook'\nurl = 'https://example.com'\nsecret_file = 'none'",
                "cannot be read",
            ),
        ] {
            let (targets, problems) = taken(&format!("[notifications.a]\n{entry}"), &[]);
            assert!(targets.is_empty(), "{entry}");
            assert!(problems[0].contains(words), "{problems:?}");
            assert!(!problems[0].contains("hush"), "{problems:?}");
        }
        let (targets, _) = taken(
            "[notifications.my-queue]\nkind = 'sqs'\nurl = 'https://example.com/a/b'",
            &[],
        );
        let missing = targets[0].missing().unwrap();
        assert!(missing.contains(KEYS[0].0) && missing.contains(KEYS[1].0));
        let (_, problems) = taken("[notifications.'a b']\nkind = 'webhook'", &[]);
        assert!(problems[0].contains("a name has"), "{problems:?}");
    }
}
