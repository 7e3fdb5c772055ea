//! A large file, in parts, from where an earlier run broke off.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use two_buckets_uploads::part_size;

use super::Uploader;
use super::accepted::{Accepted, accepted_before};
use super::bars::FileBar;
use super::multipart::{Multipart, SentPart, begin};
use super::part_size::{Part, parts_of};
use super::resume::{Begun, Left, Memory, Unavailable, folder};
use super::source::{Destination, Source};
use super::there::parts_there;
use crate::cli::print::count;
use crate::cli::s3::{Heard, Staging};
use crate::cli::trouble::Trouble;
use crate::clock;

/// How many parts of one file are on their way at once.
const PARALLEL_PARTS: usize = 4;
/// How often it is begun when the server forgets it on the way or a completion meets another write.
const BEGINNINGS_MAX: u32 = 3;

/// Uploads a file in parts.
pub(super) async fn upload(
    uploader: &Uploader<'_>,
    source: &Source,
    bar: &FileBar<'_>,
) -> Result<Accepted, Trouble> {
    let mut upload = Upload {
        uploader,
        source,
        bar,
        memory: memory(uploader, source),
    };
    for beginning in 1.. {
        let (begun, staging, there) = match upload.begun_before().await? {
            Before::Accepted(accepted) => return Ok(accepted),
            Before::Begun(begun, staging, there) => (begun, staging, there),
            Before::Nothing => {
                let (begun, staging) = upload.begin().await?;
                (begun, staging, BTreeMap::new())
            }
        };
        let trouble = match upload.go_on(&begun, &staging, there).await {
            Ok(accepted) => return Ok(accepted),
            Err(trouble) => trouble,
        };
        let is_gone = trouble.is("NoSuchUpload");
        if !is_gone && !upload.has_met_another(&trouble) {
            return Err(upload.end(&begun, &staging, trouble).await);
        }
        let accepted = upload.accepted_before(&begun).await?;
        if accepted.is_none() && beginning == BEGINNINGS_MAX {
            return Err(upload.end(&begun, &staging, trouble).await);
        }
        // It can never be completed: all that is left of it are parts that nobody needs.
        if !is_gone && let Some(second) = upload.abort(&begun, &staging).await {
            upload.say(second.trim_start_matches("; "));
        }
        if let Some(accepted) = accepted {
            upload.forget();
            return Ok(accepted);
        }
        upload.say(if is_gone {
            "the server has no such upload any more, so it begins anew"
        } else {
            "its end met another upload under its key, so it begins anew"
        });
        upload.forget();
    }
    unreachable!("the loop ends by its beginnings")
}

/// The place where it is remembered, unless it shall not or cannot be.
fn memory(uploader: &Uploader<'_>, source: &Source) -> Option<Memory> {
    if !uploader.resume {
        return None;
    }
    let taken = match folder() {
        Some(folder) => Memory::take(&folder, uploader.api.identity(), source),
        None => Err(Unavailable::Unusable("you have no state folder".to_owned())),
    };
    match taken {
        Ok(memory) => Some(memory),
        Err(unavailable) => {
            let why = match unavailable {
                Unavailable::InUse => "another run is sending this file to the same place; it is sent once more, and cannot be gone on with".to_owned(),
                Unavailable::Unusable(why) => format!("it cannot be gone on with if it breaks off: {why}"),
            };
            uploader.bars.say(&source.path, &why);
            None
        }
    }
}

/// What an earlier run left on the server.
enum Before<'a> {
    Nothing,
    Begun(Begun, Staging<'a>, BTreeMap<u32, SentPart>),
    Accepted(Accepted),
}

struct Upload<'a> {
    uploader: &'a Uploader<'a>,
    source: &'a Source,
    bar: &'a FileBar<'a>,
    memory: Option<Memory>,
}

impl<'a> Upload<'a> {
    async fn begun_before(&mut self) -> Result<Before<'a>, Trouble> {
        let Some(memory) = &mut self.memory else {
            return Ok(Before::Nothing);
        };
        let begun = match memory.recall(self.source) {
            Left::Nothing => return Ok(Before::Nothing),
            Left::Same(begun) => begun,
            Left::Changed(old) => {
                self.say("the file changed since the last run, so it begins anew");
                if let Ok(staging) = self.staging_of(&old).await {
                    // Where it fails, the server ends it in a week.
                    self.abort(&old, &staging).await;
                }
                self.forget();
                return Ok(Before::Nothing);
            }
        };
        let parts = self.parts(&begun);
        let staging = self.staging_of(&begun).await?;
        self.bar.now("comparing");
        let there = parts_there(&staging, &begun.upload_id, self.source, &parts).await;
        self.bar.now("");
        match there {
            Ok(there) => {
                let bytes = parts
                    .iter()
                    .filter(|part| there.contains_key(&part.number))
                    .map(|part| part.size_bytes)
                    .sum();
                self.say(&format!(
                    "goes on from the last run: {} of {} are there",
                    there.len(),
                    count(parts.len() as u64, "part")
                ));
                self.bar.skip(bytes);
                Ok(Before::Begun(begun, staging, there))
            }
            Err(trouble) if trouble.is("NoSuchUpload") => {
                let accepted = self.accepted_before(&begun).await?;
                self.forget();
                if let Some(accepted) = accepted {
                    self.say("the last run had sent all of it");
                    self.bar.skip(accepted.size_bytes);
                    return Ok(Before::Accepted(accepted));
                }
                self.say("the server has the last run's upload no more, so it begins anew");
                Ok(Before::Nothing)
            }
            Err(trouble) => Err(trouble),
        }
    }

    async fn begin(&mut self) -> Result<(Begun, Staging<'a>), Trouble> {
        let source = self.source;
        let part_size_bytes = part_size(source.size_bytes())
            .ok_or_else(|| Trouble::last("it is larger than any file may be"))?;
        let staging = self.uploader.staging(&source.destination).await?;
        let since = self.uploader.api.stamped_from(clock::now()).to_string();
        let upload_id = begin(&staging, self.uploader.media_type.as_deref()).await?;
        let begun = Begun::new(source, staging.key(), upload_id, part_size_bytes, since);
        if let Some(memory) = &mut self.memory
            && let Err(error) = memory.remember(&begun)
        {
            self.say(&format!(
                "it cannot be gone on with if it breaks off: {error}"
            ));
            self.memory = None;
        }
        Ok((begun, staging))
    }

    async fn staging_of(&self, begun: &Begun) -> Result<Staging<'a>, Trouble> {
        let key = Destination::Key(begun.key.clone());
        self.uploader.staging(&key).await
    }

    /// Sends what is missing and completes.
    async fn go_on(
        &mut self,
        begun: &Begun,
        staging: &Staging<'_>,
        mut sent: BTreeMap<u32, SentPart>,
    ) -> Result<Accepted, Trouble> {
        let (source, bar) = (self.source, self.bar);
        let multipart = multipart(begun, staging);
        let missing: Vec<Part> = self
            .parts(begun)
            .into_iter()
            .filter(|part| !sent.contains_key(&part.number))
            .collect();
        let new: Vec<(u32, SentPart)> = futures::stream::iter(missing)
            .map(async |part| {
                let tell = |bytes| bar.sent(bytes);
                let content = source.content(part.offset, part.size_bytes);
                let sent = multipart
                    .send(part.number, &content, &Heard::new(&tell))
                    .await?;
                Ok::<_, Trouble>((part.number, sent))
            })
            .buffer_unordered(PARALLEL_PARTS)
            .try_collect()
            .await?;
        sent.extend(new);
        // Some parts may be of the file as it was and others of it as it is: a file that never was.
        if !source.is_unchanged() {
            return Err(Trouble::last(CHANGED));
        }
        let accepted = multipart
            .complete(&sent, source.size_bytes(), source.destination.is_minted())
            .await?;
        self.forget();
        Ok(accepted)
    }

    /// Leaves it on the server for a later run if that may help, and else not.
    async fn end(&mut self, begun: &Begun, staging: &Staging<'_>, trouble: Trouble) -> Trouble {
        let is_changed = !self.source.is_unchanged();
        let is_of_use = !trouble.is("BadDigest") && !self.has_met_another(&trouble);
        if self.memory.is_some() && !is_changed && is_of_use {
            return trouble.and("; what was sent is kept, and the same command goes on from there");
        }
        let trouble = if is_changed {
            Trouble::last(CHANGED)
        } else {
            trouble
        };
        self.forget();
        match self.abort(begun, staging).await {
            None => trouble,
            Some(second) => trouble.and(&second),
        }
    }

    async fn abort(&self, begun: &Begun, staging: &Staging<'_>) -> Option<String> {
        match multipart(begun, staging).abort().await {
            Ok(()) => None,
            Err(trouble) if trouble.is("NoSuchUpload") => None,
            Err(trouble) => Some(format!(
                "; its parts stay until the server removes them: {}",
                crate::failure::Failure::from(trouble)
            )),
        }
    }

    /// Whether its completion met another upload under its key. A key that was made for it alone says so as well where
    /// something is there already, and would say so again whenever it is gone on with.
    fn has_met_another(&self, trouble: &Trouble) -> bool {
        trouble.is("ConditionalRequestConflict")
            || (self.source.destination.is_minted() && trouble.is("PreconditionFailed"))
    }

    async fn accepted_before(&self, begun: &Begun) -> Result<Option<Accepted>, Trouble> {
        let since = match (&begun.since, self.source.destination.is_minted()) {
            (_, true) => None,
            (Some(since), false) => Some(since.as_str()),
            // Nothing tells it from what came before.
            (None, false) => return Ok(None),
        };
        accepted_before(
            self.uploader.api,
            &self.uploader.patience,
            &begun.key,
            since,
            &self.source.content(0, self.source.size_bytes()),
        )
        .await
    }

    fn parts(&self, begun: &Begun) -> Vec<Part> {
        parts_of(self.source.size_bytes(), begun.part_size_bytes).collect()
    }

    fn forget(&mut self) {
        if let Some(memory) = &mut self.memory
            && let Err(error) = memory.forget()
        {
            self.say(&format!("it cannot be forgotten: {error}"));
        }
    }

    fn say(&self, sentence: &str) {
        self.uploader.bars.say(&self.source.path, sentence);
    }
}

fn multipart<'a>(begun: &'a Begun, staging: &'a Staging<'a>) -> Multipart<'a> {
    Multipart {
        staging,
        upload_id: &begun.upload_id,
    }
}

const CHANGED: &str = "the file changed while it was sent, so nothing of it was accepted";
