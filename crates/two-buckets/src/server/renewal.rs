//! What is read again while the server runs: the certificate with its key, and the token file.

use std::path::PathBuf;
use std::time::Duration;

use two_buckets_uploads::{KnownTokens, UploadLimits};

use super::record::LeftRecord;
use super::signals::Hangups;
use super::tls::{self, Tls};
use super::token_file;
use crate::clock;
use crate::config::Settings;
use crate::failure::Failure;

/// How often the files are looked at. They are small, and mounted secrets change by a link that no time stamp tells of,
/// so they are read whole.
const INTERVAL: Duration = Duration::from_secs(5);

/// The files that are read again. Holds what was read last, right or wrong, so that each mistake is told once.
pub(super) struct Renewal {
    tls: Option<(Tls, Result<tls::Read, String>)>,
    tokens: Option<TokenFile>,
    /// Caught from the start, or a signal to a server that has just become ready would end it. Only caught where there
    /// is something to read again: else it ends the server, as when a terminal is closed.
    hangups: Option<Hangups>,
}

struct TokenFile {
    path: PathBuf,
    limits: UploadLimits,
    known: KnownTokens,
    read: Result<Vec<u8>, String>,
}

impl Renewal {
    /// Reads all files for the first time; what is wrong with them keeps the server from starting.
    pub(super) fn open(settings: &Settings) -> Result<Self, Failure> {
        let tls = match (
            &settings.reach.tls_cert.value,
            &settings.reach.tls_key.value,
        ) {
            (Some(cert), Some(key)) => {
                let (tls, read) = Tls::open(cert, key, clock::now()).map_err(Failure::usage)?;
                Some((tls, Ok(read)))
            }
            _ => None,
        };
        let tokens = settings
            .callers
            .token_file
            .value
            .clone()
            .map(|path| {
                let limits = settings.callers.limits();
                let read = token_file::read(&path)
                    .and_then(|bytes| Ok((token_file::parse(&bytes, &limits)?, bytes)));
                let (callers, bytes) = read.map_err(|problem| {
                    Failure::usage(format!("the token file {}: {problem}", path.display()))
                })?;
                if callers.is_empty() {
                    tracing::warn!("the token file {} names no callers", path.display());
                }
                Ok::<_, Failure>(TokenFile {
                    path,
                    limits,
                    known: KnownTokens::new(callers),
                    read: Ok(bytes),
                })
            })
            .transpose()?;
        let hangups = (tls.is_some() || tokens.is_some()).then(Hangups::catch);
        Ok(Self {
            tls,
            tokens,
            hangups,
        })
    }

    /// TLS, if there is any.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref().map(|(tls, _)| tls)
    }

    /// The callers of the token file, if there is one.
    pub(super) fn tokens(&self) -> Option<KnownTokens> {
        self.tokens.as_ref().map(|file| file.known.clone())
    }

    /// Looks at the files on a schedule and at every SIGHUP, until `stop` ends.
    pub(super) async fn keep_up(mut self, record: &LeftRecord, stop: impl Future<Output = ()>) {
        let Some(mut hangups) = self.hangups.take() else {
            return;
        };
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = hangups.next() => tracing::info!("told by a signal to read the certificate and the token file again"),
                () = &mut stop => return,
            }
            // Local files of a few kilobytes: less than a millisecond, and away from the connections' tasks.
            let looked = tokio::task::spawn_blocking(move || {
                let is_renewed = self.look();
                (self, is_renewed)
            });
            let is_renewed;
            (self, is_renewed) = match looked.await {
                Ok(looked) => looked,
                Err(error) => {
                    tracing::error!(%error, "the certificate and the token file are no longer read again");
                    return;
                }
            };
            if is_renewed && let Some(tls) = self.tls() {
                if let Err(error) = record.renew(tls.certificate()) {
                    tracing::warn!("other commands may not find the server: {error}");
                }
                tracing::info!("the new certificate is in use");
            }
        }
    }

    /// Reads everything again; says whether the certificate changed.
    fn look(&mut self) -> bool {
        if let Some(tokens) = &mut self.tokens {
            tokens.look();
        }
        let Some((tls, last)) = &mut self.tls else {
            return false;
        };
        let read = tls.read();
        if read == *last {
            return false;
        }
        let renewed = match &read {
            Ok(read) => tls.renew(read, clock::now()),
            Err(problem) => Err(problem.clone()),
        };
        *last = read;
        match renewed {
            Ok(()) => true,
            Err(problem) => {
                tracing::warn!("the certificate of before stays in use: {problem}");
                false
            }
        }
    }
}

impl TokenFile {
    fn look(&mut self) {
        let read = token_file::read(&self.path);
        if read == self.read {
            return;
        }
        let parsed = match &read {
            Ok(bytes) => token_file::parse(bytes, &self.limits),
            Err(problem) => Err(problem.clone()),
        };
        self.read = read;
        let path = self.path.display();
        match parsed {
            Ok(callers) => {
                let count = callers.len();
                self.known.replace(callers);
                // Said once it is so: whoever waits for these words may rely on them.
                tracing::info!(callers = count, "read the token file {path} again");
            }
            Err(problem) => {
                tracing::warn!("the callers of before stay: the token file {path}: {problem}");
            }
        }
    }
}
