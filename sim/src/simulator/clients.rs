//! Clients: they put, overwrite, send in parts, abandon and delete, and remember what they were told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use two_buckets_depot::{
    BodyWriter, CompletePart, CreateUpload, Error, PutObject, Selector, UploadId,
};
use two_buckets_objects::{ETag, Key, WriteCondition};
use two_buckets_pipeline::Expectation;
use two_buckets_pipeline::ledger::Ledger as _;

use super::chance::Chance;
use super::oracle::{Told, sha256, short};
use super::server::{End, Life};
use super::world::{World, at_once, in_staging, note};

/// Names that are prefixes of each other, that need escapes, and that are long.
const NAMES: [&str; 6] = ["a", "a/b", "ab", "ü/x y+%", "dir/", "a/"];
/// How long a minted key is waited for, by virtual time.
const MINTED_FOR: Duration = Duration::from_mins(10);

/// How a call ended, as its client sees it.
enum Answer<T> {
    Done(T),
    /// It was refused: nothing has happened.
    Refused(Error),
    /// No answer came.
    Lost,
}

/// A multipart upload that is begun.
struct Begun {
    number: usize,
    key: Key,
    id: UploadId,
    bytes: Vec<u8>,
    parts: BTreeMap<u32, ETag>,
}

/// A client.
pub(super) struct Client {
    world: Arc<World>,
    number: u64,
    chance: Chance,
    begun: Vec<Begun>,
    /// Bytes sent before, to be sent again.
    before: Vec<Vec<u8>>,
    minted: u64,
}

impl Client {
    pub(super) fn new(world: &Arc<World>, number: u64) -> Self {
        Self {
            world: Arc::clone(world),
            number,
            chance: Chance::of(world.plan.seed, &format!("client {number}")),
            begun: Vec::new(),
            before: Vec::new(),
            minted: 0,
        }
    }

    /// Sends all its requests.
    pub(super) async fn run(mut self) {
        for _ in 0..self.world.plan.requests_each {
            self.pause(self.world.plan.think_ms_max).await;
            self.request().await;
        }
        while let Some(begun) = self.begun.pop() {
            // What is left is abandoned.
            if self.chance.per_mille(700) {
                self.complete(begun).await;
            }
        }
    }

    async fn request(&mut self) {
        if self.chance.per_mille(self.world.plan.minted) {
            return self.put_minted().await;
        }
        let key = self.key();
        match self.chance.below(100) {
            0..45 => self.put(&key, WriteCondition::None).await,
            45..52 => self.put(&key, WriteCondition::IfNoneMatch).await,
            52..58 => self.put_if_as_seen(&key).await,
            58..72 => self.begin(&key).await,
            72..84 => {
                if !self.begun.is_empty() {
                    // The one begun first, or any other.
                    let index = self.chance.below(self.begun.len() as u64);
                    let begun = self.begun.remove(usize::try_from(index).unwrap_or(0));
                    if self.chance.per_mille(850) {
                        self.complete(begun).await;
                    } else {
                        self.abort(begun).await;
                    }
                }
            }
            84..88 => self.abandon().await,
            88..93 => self.delete(&key).await,
            _ => self.delete_version().await,
        }
    }

    fn key(&mut self) -> Key {
        let names = NAMES.get(..usize::try_from(self.world.plan.keys).unwrap_or(1));
        let name = self.chance.one_of(names.unwrap_or(&NAMES));
        key(name.unwrap_or(&"a"))
    }

    /// Bytes of an upload: no two uploads have the same, unless the plan says so.
    fn bytes(&mut self) -> Vec<u8> {
        let may_repeat = self.world.plan.may_repeat_bytes();
        if may_repeat
            && self.chance.per_mille(self.world.plan.same_bytes)
            && let Some(bytes) = self.chance.one_of(&self.before)
        {
            return bytes.clone();
        }
        let least = if may_repeat { 0 } else { 8 };
        let length = match self.chance.below(100) {
            0..5 => least,
            5..60 => self.chance.between(least, 200),
            60..97 => self.chance.between(200, 5_000),
            _ => self.chance.between(250_000, 600_000),
        };
        let mut bytes = Vec::new();
        while bytes.len() < usize::try_from(length).unwrap_or(0) {
            bytes.extend_from_slice(&self.chance.next().to_le_bytes());
        }
        bytes.truncate(usize::try_from(length).unwrap_or(0));
        self.before.push(bytes.clone());
        bytes
    }

    async fn put(&mut self, key: &Key, condition: WriteCondition) {
        let bytes = self.bytes();
        let number = self.send(key, &bytes, false);
        self.put_bytes(number, key, bytes, condition).await;
    }

    async fn put_if_as_seen(&mut self, key: &Key) {
        let at = in_staging(key);
        let seen = self
            .call("head", None, |life| {
                life.depot.head(&at, &Selector::Current)
            })
            .await;
        if let Answer::Done((found, _)) = seen {
            self.put(key, WriteCondition::IfMatch(found.info.etag))
                .await;
        }
    }

    /// Sends bytes, at times in two pieces between which everything may happen.
    async fn put_bytes(
        &mut self,
        number: usize,
        key: &Key,
        bytes: Vec<u8>,
        condition: WriteCondition,
    ) {
        let at = in_staging(key);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let pieces = [
            Bytes::copy_from_slice(first),
            Bytes::copy_from_slice(second),
        ];
        let [first, second] = pieces;
        let half = self
            .call("first half", None, |life| {
                let mut writer = life.depot.body_writer(&[], u64::MAX);
                writer.write(&first)?;
                Ok(writer)
            })
            .await;
        // Nothing but a whole body is put, so until then nothing has happened.
        let Answer::Done((writer, generation)) = half else {
            return self.refused(number);
        };
        let put = self
            .call("put", Some(generation), |life| {
                let mut writer: BodyWriter = writer;
                writer.write(&second)?;
                let options = PutObject {
                    condition,
                    ..PutObject::default()
                };
                life.depot.put(&at, writer.finish()?, options)
            })
            .await;
        match put {
            Answer::Done((written, _)) => self.acknowledged(number, written.version_id),
            Answer::Refused(_) => self.refused(number),
            Answer::Lost => {}
        }
    }

    /// Sends a file under a key that was made for it alone, and again if no answer came.
    async fn put_minted(&mut self) {
        self.minted += 1;
        let key = key(&format!("minted/{}-{}", self.number, self.minted));
        let at = in_staging(&key);
        let minted = self
            .call("mint", None, |life| {
                let now = life.depot.now();
                let until = Expectation::until(now.after(MINTED_FOR));
                Ok(at_once(life.ledger.mint(&at, &until, now)))
            })
            .await;
        if !matches!(minted, Answer::Done((Ok(_), _))) || self.chance.per_mille(150) {
            // It never comes.
            return;
        }
        let mut bytes = self.bytes();
        for _ in 0..3 {
            let number = self.send(&key, &bytes, true);
            self.put_bytes(number, &key, bytes.clone(), WriteCondition::IfNoneMatch)
                .await;
            let is_answered = self.told(number) != Told::Nothing;
            // Most stop when they were answered; some send it again, or something else.
            if is_answered && self.chance.per_mille(700) {
                return;
            }
            if self.chance.per_mille(150) {
                bytes = self.bytes();
            }
            self.pause(self.world.plan.think_ms_max).await;
        }
    }

    /// Begins a multipart upload, which takes its place among the versions of its key.
    async fn begin(&mut self, key: &Key) {
        let bytes = self.bytes();
        let number = self.send(key, &bytes, false);
        let at = in_staging(key);
        let begun = self
            .call("begin", None, |life| {
                life.depot.create_upload(&at, CreateUpload::default())
            })
            .await;
        if let Answer::Done((info, _)) = begun {
            self.world.oracle.begun(number);
            self.begun.push(Begun {
                number,
                key: key.clone(),
                id: info.id,
                bytes,
                parts: BTreeMap::new(),
            });
        } else {
            self.refused(number);
        }
    }

    /// Sends the part of an upload and completes it; asks again while no answer comes.
    async fn complete(&mut self, mut begun: Begun) {
        let at = in_staging(&begun.key);
        for _ in 0..4 {
            if begun.parts.is_empty() {
                let bytes = Bytes::copy_from_slice(&begun.bytes);
                let part = self
                    .call("part", None, |life| {
                        let mut writer = life.depot.body_writer(&[], u64::MAX);
                        writer.write(&bytes)?;
                        let body = writer.finish()?;
                        life.depot.put_part(&at, &begun.id, 1, body)
                    })
                    .await;
                match part {
                    Answer::Done((part, _)) => begun.parts.insert(1, part.etag),
                    Answer::Refused(Error::NoSuchUpload) => {
                        let what = format!("the upload {} of {} is gone", begun.id.0, begun.key);
                        return self.world.oracle.broken(what);
                    }
                    Answer::Refused(_) | Answer::Lost => {
                        self.pause(self.world.plan.think_ms_max).await;
                        continue;
                    }
                };
            }
            let parts: Vec<_> = begun
                .parts
                .iter()
                .map(|(number, etag)| CompletePart {
                    number: *number,
                    etag: etag.clone(),
                    checksum: None,
                })
                .collect();
            let completed = self
                .call("complete", None, |life| {
                    let depot = &life.depot;
                    depot.complete_upload(&at, &begun.id, &parts, &WriteCondition::None, None)
                })
                .await;
            match completed {
                Answer::Done(((_, written), _)) => {
                    return self.acknowledged(begun.number, written.version_id);
                }
                Answer::Refused(Error::NoSuchUpload) => {
                    let what = format!(
                        "the completion of {} of {} is not repeated",
                        begun.id.0, begun.key
                    );
                    return self.world.oracle.broken(what);
                }
                Answer::Refused(_) | Answer::Lost => {}
            }
            self.pause(self.world.plan.think_ms_max).await;
        }
    }

    async fn abort(&mut self, begun: Begun) {
        let at = in_staging(&begun.key);
        let aborted = self
            .call("abort", None, |life| {
                life.depot.abort_upload(&at, &begun.id)
            })
            .await;
        if matches!(aborted, Answer::Done(_)) {
            self.refused(begun.number);
        }
    }

    /// Sends some bytes and goes away.
    async fn abandon(&mut self) {
        let bytes = Bytes::from(self.bytes());
        let begun = self
            .call("some bytes", None, |life| {
                let mut writer = life.depot.body_writer(&[], u64::MAX);
                writer.write(&bytes)?;
                Ok(writer)
            })
            .await;
        self.pause(self.world.plan.think_ms_max).await;
        drop(begun);
    }

    /// Deletes by name, which makes a marker and takes nothing away.
    async fn delete(&mut self, key: &Key) {
        let at = in_staging(key);
        self.call("delete", None, |life| {
            life.depot
                .delete(&at, &Selector::Current, &WriteCondition::None)
        })
        .await;
    }

    /// Deletes exactly one version, for good.
    async fn delete_version(&mut self) {
        let acknowledged: Vec<_> = {
            let known = self.world.oracle.known();
            let sent = known.sent.iter().enumerate();
            sent.filter_map(|(number, sent)| match &sent.told {
                Told::Acknowledged { version, .. } => {
                    Some((number, sent.key.clone(), version.clone()))
                }
                _ => None,
            })
            .collect()
        };
        let Some((number, key, version)) = self.chance.one_of(&acknowledged).cloned() else {
            return;
        };
        if let Some(sent) = self.world.oracle.known().sent.get_mut(number) {
            sent.is_deleted = true;
        }
        let at = in_staging(&key);
        self.call("delete version", None, |life| {
            life.depot
                .delete(&at, &Selector::Version(version), &WriteCondition::None)
        })
        .await;
    }

    fn send(&mut self, key: &Key, bytes: &[u8], is_minted: bool) -> usize {
        let sha = sha256(bytes);
        let number = self.world.oracle.send(key, sha, is_minted);
        note!(
            self.world,
            "client {}: upload {number} of {key}: {} bytes, {}",
            self.number,
            bytes.len(),
            short(&sha)
        );
        self.world.figures().uploads += 1;
        number
    }

    fn acknowledged(&self, number: usize, version: two_buckets_objects::VersionId) {
        note!(self.world, "upload {number} is {version}");
        self.world.figures().acknowledged += 1;
        self.world.oracle.told(number, Some(version));
    }

    fn refused(&self, number: usize) {
        note!(self.world, "upload {number} is refused");
        self.world.oracle.told(number, None);
    }

    fn told(&self, number: usize) -> Told {
        let known = self.world.oracle.known();
        known
            .sent
            .get(number)
            .map_or(Told::Refused, |sent| sent.told.clone())
    }

    /// Asks the server, and waits for it if it is down. With a generation given only that process can answer.
    async fn call<T>(
        &mut self,
        what: &str,
        generation: Option<u64>,
        ask: impl FnOnce(&Life) -> Result<T, Error>,
    ) -> Answer<(T, u64)> {
        self.pause(self.world.plan.delay_ms_max).await;
        let life = self.world.server.wait().await;
        self.pause(self.world.plan.delay_ms_max).await;
        if life.is_over() || generation.is_some_and(|wanted| wanted != life.generation) {
            self.note(what, "no answer, and nothing happened");
            // Its client cannot know that nothing happened, but a call that needed an earlier process can.
            return match generation {
                Some(_) => Answer::Refused(Error::NoSuchUpload),
                None => Answer::Lost,
            };
        }
        let answer = ask(&life);
        if life.disk.has_crashed() {
            self.world.server.end(End::PowerLoss);
            self.note(what, "cut off by the power loss");
            return Answer::Lost;
        }
        match &answer {
            Ok(_) => self.note(what, "ok"),
            Err(error) => self.note(what, error),
        }
        self.pause(self.world.plan.delay_ms_max).await;
        let is_lost = self.chance.per_mille(self.world.plan.client_answer_lost);
        if life.is_over() || (is_lost && !self.world.is_calm()) {
            self.note(what, "the answer is lost");
            return Answer::Lost;
        }
        match answer {
            Ok(value) => Answer::Done((value, life.generation)),
            // What the disk holds then is known when the store is opened again.
            Err(Error::ReadOnly) => Answer::Lost,
            Err(error) => Answer::Refused(error),
        }
    }

    fn note(&self, what: &str, outcome: impl std::fmt::Display) {
        note!(self.world, "client {}: {what}: {outcome}", self.number);
    }

    async fn pause(&mut self, ms_max: u64) {
        let wait = self.chance.below(ms_max + 1);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

fn key(name: &str) -> Key {
    name.parse().expect("our keys are legal")
}
