//! Starts the processes of jobs, and sees to it that nothing is left of them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use two_buckets_local::{JobError, Jobs};
use two_buckets_objects::{Timestamp, VersionRef};
use two_buckets_pipeline::job::{JobSeen, to_start};
use two_buckets_pipeline::{Processor, Upload, UploadId};

use super::process::{Child, clean, in_words};
use super::{Tickets, folder, folders};
use crate::failure::Failure;

/// How often it is looked for jobs without having been told of one: a wait has ended, or a key was let go.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while a job waits only for a worker to let its key go, as the one does that left the file to it.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// How long jobs that an earlier server started may take to say that they live before a lease that has run out is taken
/// for that of a dead one.
const FIRST_SIGN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for what dead jobs left of which nobody was told.
const CLEAN_INTERVAL: Duration = Duration::from_mins(1);
/// What a clock may be ahead by without its having been set.
const JUMP_MIN: Duration = Duration::from_secs(5);
/// How long it is waited for jobs to end that were told to stop as the server was: to see whether one does, and until all
/// have.
const STOP_MIN: Duration = Duration::from_millis(500);
const STOP_MAX: Duration = Duration::from_secs(5);
/// The waits before a job is started again whose process ended before it had begun.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_mins(1);

/// How processes of jobs are started.
pub(crate) struct Starter<P> {
    jobs: Jobs<P>,
    tickets: Tickets,
    /// The data folder, as an absolute path without links, by which a job's processes are known.
    data: PathBuf,
    /// The words of the command line that make the program what this server is.
    words: Vec<OsString>,
    concurrency: usize,
    children: HashMap<UploadId, Child>,
    ending: JoinSet<(UploadId, Result<ExitStatus, String>)>,
    /// Jobs whose process ended before it had begun: how often, and when to try again.
    fruitless: HashMap<UploadId, (u32, Timestamp)>,
    began: Instant,
    /// The clock when it was last looked, and the time since the start then.
    looked: (Timestamp, Instant),
    cleaned: Option<Instant>,
    started: u64,
}

impl<P: Processor> Starter<P> {
    /// For a server that was called by these words, on this data folder.
    pub(crate) fn new(
        jobs: Jobs<P>,
        tickets: Tickets,
        data: &Path,
        words: Vec<OsString>,
        concurrency: usize,
    ) -> Result<Self, Failure> {
        let data = data.canonicalize().map_err(|error| {
            Failure::failed(format!("the data folder {}: {error}", data.display()))
        })?;
        Ok(Self {
            jobs,
            tickets,
            data,
            words,
            concurrency,
            children: HashMap::new(),
            ending: JoinSet::new(),
            fruitless: HashMap::new(),
            began: Instant::now(),
            looked: (Timestamp::from_millis(0), Instant::now()),
            cleaned: None,
            started: 0,
        })
    }

    /// Starts jobs until told to stop. Those that run then go on by themselves.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let wait = self.look().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the jobs cannot be looked through; soon again");
                LOOK_INTERVAL
            });
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = self.ending.join_next() => match ended {
                    Ok((id, status)) => self.ended(id, status).await,
                    Err(error) => tracing::error!(%error, "a job's end was not seen"),
                },
                () = self.jobs.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // Whoever stops all processes at once, as systemd does, stops the jobs too, and they have something to say yet.
        let told = Instant::now();
        let mut has_seen_one_end = false;
        while !self.children.is_empty()
            && told.elapsed() < if has_seen_one_end { STOP_MAX } else { STOP_MIN }
        {
            if let Ok(Some(Ok((id, status)))) =
                tokio::time::timeout(STOP_MIN, self.ending.join_next()).await
            {
                has_seen_one_end = true;
                self.ended(id, status).await;
            }
        }
        if !self.children.is_empty() {
            tracing::info!(
                jobs = self.children.len(),
                "jobs go on by themselves; they end if no server is there within a minute"
            );
        }
        // The processes are nobody's children now; nothing of them is killed with this.
        self.ending.detach_all();
    }

    /// Ends what is not wanted any more, and starts what is to be started. Gives when to look again.
    async fn look(&mut self) -> Result<Duration, JobError> {
        let now = self.jobs.now();
        let (last, at) = std::mem::replace(&mut self.looked, (now, Instant::now()));
        if now.since(last) > at.elapsed() + JUMP_MIN {
            // The machine slept, or its clock was set: jobs that are alive may seem to have been silent.
            self.began = Instant::now();
        }
        for (id, child) in &mut self.children {
            let is_over = child.was_told_to_end()
                || !self.jobs.is_wanted(id).await?
                || self.jobs.is_silent(id).await?;
            if is_over {
                child.end();
            }
        }
        if self.children.len() >= self.concurrency {
            // The end of one of them is a reason to look again.
            return Ok(LOOK_INTERVAL);
        }
        let mut seen = self.jobs.seen().await?;
        let is_early = self.began.elapsed() < FIRST_SIGN_WITHIN;
        for job in &mut seen {
            let id = &job.upload.id;
            job.is_started = self.children.contains_key(id);
            job.not_before = self.fruitless.get(id).map(|(_, at)| *at);
            if is_early && job.lease.is_none() && !job.is_started {
                // One that an earlier server started may be alive, or even about to begin.
                let left = job.upload.version().map(|at| self.folder(&at));
                if self.jobs.is_held(id).await? || left.is_some_and(|folder| folder.exists()) {
                    job.not_before = Some(now.after(LOOK_INTERVAL));
                }
            }
        }
        self.fruitless
            .retain(|_, (_, at)| at.after(AGAIN_MAX) > now);
        let is_clean = self.cleaned.is_some_and(|at| at.elapsed() < CLEAN_INTERVAL);
        if !is_early && !is_clean {
            self.cleaned = Some(Instant::now());
            self.clean_what_is_left().await?;
        }
        if self.jobs.are_paused() {
            // Looked at again when it is resumed. Those that run go on.
            return Ok(LOOK_INTERVAL);
        }
        for id in to_start(&seen, now, self.concurrency) {
            if let Some(job) = seen.iter().find(|job| job.upload.id == id) {
                self.start(&job.upload).await;
            }
        }
        let waits_for_a_worker = |job: &JobSeen| {
            job.upload.is_due(now) && job.lease.as_ref().is_some_and(|lease| lease.job.is_none())
        };
        Ok(if seen.iter().any(waits_for_a_worker) {
            LOOK_SOON
        } else {
            LOOK_INTERVAL
        })
    }

    /// Removes the folders of jobs that are over, and ends what still runs in them: an earlier server was killed before
    /// it could.
    async fn clean_what_is_left(&self) -> Result<(), JobError> {
        let held = self.jobs.held_ones().await?;
        let ours = self
            .children
            .values()
            .filter_map(|child| child.folder().parent().map(Path::to_owned));
        let wanted: Vec<PathBuf> = held.iter().map(|at| self.folder(at)).chain(ours).collect();
        let folders = folders(&self.data);
        let cleaned = tokio::task::spawn_blocking(move || {
            let Ok(entries) = std::fs::read_dir(folders) else {
                return;
            };
            for left in entries.flatten().map(|entry| entry.path()) {
                if !wanted.contains(&left) {
                    clean(&left);
                }
            }
        });
        if let Err(error) = cleaned.await {
            tracing::error!(%error, "cleaning the folders of jobs broke");
        }
        Ok(())
    }

    async fn start(&mut self, upload: &Upload) {
        let Some(at) = upload.version() else {
            return;
        };
        self.started += 1;
        let of_job = self.folder(&at);
        let folder = of_job.join(format!("{}-{}", std::process::id(), self.started));
        let (child, mut process) = match Child::start(&at, &self.words, of_job, folder).await {
            Ok(started) => started,
            Err(why) => {
                tracing::warn!(key = %at.key, why, "a job cannot be started; later again");
                self.try_later(&upload.id);
                return;
            }
        };
        tracing::info!(bucket = %at.bucket, key = %at.key, version_id = %at.version_id, process = process.id(), "a job is started");
        let id = upload.id.clone();
        self.children.insert(id.clone(), child);
        self.ending.spawn(async move {
            let status = process.wait().await.map_err(|error| error.to_string());
            (id, status)
        });
    }

    /// A process has ended. If its job had begun and has not finished, the attempt has crashed.
    async fn ended(&mut self, id: UploadId, status: Result<ExitStatus, String>) {
        let how = match &status {
            Ok(status) => in_words(*status),
            Err(error) => format!("its process was lost: {error}"),
        };
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        let holder = child.holder();
        child.clean().await;
        match self.jobs.died(&id, &holder, &how).await {
            Ok(true) => {}
            Ok(false) => {
                let is_done = matches!(self.jobs.is_wanted(&id).await, Ok(false));
                if is_done || matches!(self.jobs.is_deferred(&id).await, Ok(true)) {
                    self.fruitless.remove(&id);
                    return;
                }
                tracing::warn!(upload = %id, "a job's process ended before it had begun: {how}; later again");
                self.try_later(&id);
            }
            Err(error) => {
                tracing::warn!(upload = %id, %error, "the end of a job was not kept; its lease runs out");
            }
        }
    }

    fn try_later(&mut self, id: &UploadId) {
        let now = self.jobs.now();
        let entry = self.fruitless.entry(id.clone()).or_insert((0, now));
        let wait = AGAIN_FIRST
            .saturating_mul(2_u32.saturating_pow(entry.0))
            .min(AGAIN_MAX);
        *entry = (entry.0 + 1, now.after(wait));
    }

    fn folder(&self, at: &VersionRef) -> PathBuf {
        folder(&self.data, &self.tickets.of(at))
    }
}
