//! One large file at once and in parts, its way into the archive and its download: `cargo xtask bench large`.
//!
//! The server runs a function that reads nothing, for all figures: what is wanted is what storing and archiving cost by
//! themselves, and the built-in description would read every file whole.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use http_body_util::{Either, Full};
use md5::{Digest as _, Md5};
use tokio::task::JoinSet;

use crate::client::{ARCHIVE, Connection, Events, STAGING, swallow};
use crate::disk::Probe;
use crate::figures::{median, millis};
use crate::pieces::Pieces;
use crate::server::Server;
use crate::{clock, nginx};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// A function that reads nothing of the file, a program of this package
    #[arg(long)]
    function: PathBuf,
    /// A static file server; without it downloads have nothing beside them
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// The file's size, in MiB
    #[arg(long, default_value_t = 4096)]
    mib: u64,
    /// Parts sent at once
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// A part's size, in MiB
    #[arg(long, default_value_t = 16)]
    part_mib: u64,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// What is wanted.
const RATE_MIN: f64 = 0.8;
const MEMORY_MIB_MAX: u64 = 150;
const COMPLETE_MAX: Duration = Duration::from_millis(12);
const ARCHIVED_MAX: Duration = Duration::from_millis(5);

/// Rates in bytes a second.
struct Round {
    disk: f64,
    md5: f64,
    at_once: f64,
    in_parts: f64,
    complete: Duration,
    archived: Duration,
    download: f64,
    nginx: Option<f64>,
    memory_bytes: u64,
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.mib > 0 && flags.part_mib > 0 && flags.connections > 0 && flags.rounds > 0,
        "there must be something to measure"
    );
    println!(
        "{} MiB at once, and in parts of {} MiB over {} connections; {} rounds; payloads are not signed",
        flags.mib, flags.part_mib, flags.connections, flags.rounds
    );
    println!(
        "each file is processed by the function {}, which reads nothing of it",
        flags.function.display()
    );
    let mut rounds = Vec::new();
    for number in 1..=flags.rounds {
        let round = round(flags).await?;
        println!(
            "round {number}: disk {:.0} MB/s, MD5 {:.0}, at once {:.0}, in parts {:.0}, download {:.0}, nginx {}",
            round.disk / 1e6,
            round.md5 / 1e6,
            round.at_once / 1e6,
            round.in_parts / 1e6,
            round.download / 1e6,
            round
                .nginx
                .map_or("skipped".to_owned(), |it| format!("{:.0}", it / 1e6)),
        );
        rounds.push(round);
    }
    report(&rounds);
    Ok(())
}

async fn round(flags: &Flags) -> Result<Round> {
    let size = flags.mib << 20;
    let function = ["--function".into(), flags.function.clone().into()];
    let server = Server::start(&flags.server, &function, &[]).await?;
    let disk = Probe::sequential(server.folder(), size)?;
    let piece = Pieces::piece();
    let md5 = md5_rate(&piece, size / 4);

    let mut connection = Connection::open(server.s3()).await?;
    let mut events = server.events().await?;
    let began = clock::now();
    let body = Either::Right(Pieces::of(&piece, size));
    connection
        .s3_whole(Method::PUT, (STAGING, Some("at-once")), &[], body)
        .await?;
    let at_once = rate(size, began.elapsed());
    let archived = until_archived(&mut events, "at-once").await?;

    let began = clock::now();
    let complete = in_parts(&server, &piece, flags).await?;
    let in_parts = rate(size, began.elapsed());
    let archived = archived.max(until_archived(&mut events, "in-parts").await?);
    let memory_bytes = server.peak_memory_bytes()?;

    let began = clock::now();
    let nothing = || Either::Left(Full::default());
    let answer = connection
        .s3(Method::GET, (ARCHIVE, Some("in-parts")), &[], nothing())
        .await?;
    ensure!(
        swallow(answer.into_body()).await? == size,
        "the download is cut short"
    );
    let download = rate(size, began.elapsed());
    for key in ["at-once", "in-parts"] {
        // Its room is wanted by the next round.
        connection
            .s3_whole(Method::DELETE, (ARCHIVE, Some(key)), &[], nothing())
            .await?;
    }
    let nginx = match &flags.nginx {
        Some(program) => Some(nginx_rate(program, &piece, size).await?),
        None => None,
    };
    Ok(Round {
        disk,
        md5,
        at_once,
        in_parts,
        complete,
        archived,
        download,
        nginx,
        memory_bytes,
    })
}

/// From an answer until the API says archived; asked without a pause.
async fn until_archived(events: &mut Events, key: &str) -> Result<Duration> {
    let answered = clock::now();
    events.until_archived(key).await?;
    Ok(answered.elapsed())
}

/// Sends the parts, and says how long it took to complete them.
async fn in_parts(server: &Server, piece: &Bytes, flags: &Flags) -> Result<Duration> {
    const AT: (&str, Option<&str>) = (STAGING, Some("in-parts"));
    let mut connection = Connection::open(server.s3()).await?;
    let (_, begun) = connection
        .s3_whole(
            Method::POST,
            AT,
            &[("uploads", "")],
            Either::Left(Full::default()),
        )
        .await?;
    let begun = String::from_utf8(begun.to_vec())?;
    let id = begun
        .split_once("<UploadId>")
        .and_then(|(_, rest)| rest.split_once("</UploadId>"))
        .context("no upload id")?
        .0
        .to_owned();
    let part = flags.part_mib << 20;
    let parts = (flags.mib << 20).div_ceil(part);
    let next = Arc::new(AtomicU64::new(1));
    let mut senders = JoinSet::new();
    for _ in 0..flags.connections {
        let (next, id, piece) = (Arc::clone(&next), id.clone(), piece.clone());
        let (address, size) = (server.s3(), flags.mib << 20);
        senders.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > parts {
                    return anyhow::Ok(sent);
                }
                let body = Pieces::of(&piece, part.min(size - (number - 1) * part));
                let query = [("partNumber", &*number.to_string()), ("uploadId", &*id)];
                let (headers, _) = connection
                    .s3_whole(Method::PUT, AT, &query, Either::Right(body))
                    .await?;
                let tag = headers
                    .get(http::header::ETAG)
                    .context("a part has no ETag")?;
                sent.push((number, tag.to_str()?.to_owned()));
            }
        });
    }
    let mut sent = Vec::new();
    while let Some(of_one) = senders.join_next().await {
        sent.extend(of_one??);
    }
    sent.sort();
    let mut body = String::from("<CompleteMultipartUpload>");
    for (number, tag) in &sent {
        write!(
            body,
            "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        )?;
    }
    body.push_str("</CompleteMultipartUpload>");
    let began = clock::now();
    connection
        .s3_whole(
            Method::POST,
            AT,
            &[("uploadId", &id)],
            Either::Left(Full::new(body.into())),
        )
        .await?;
    Ok(began.elapsed())
}

fn md5_rate(piece: &Bytes, size: u64) -> f64 {
    let began = clock::now();
    let mut hash = Md5::new();
    let mut done = 0;
    while done < size {
        hash.update(piece);
        done += piece.len() as u64;
    }
    std::hint::black_box(hash.finalize());
    rate(done, began.elapsed())
}

async fn nginx_rate(program: &std::path::Path, piece: &Bytes, size: u64) -> Result<f64> {
    let nginx = nginx::start(program, piece, size).await?;
    let mut connection = Connection::open(nginx.address()).await?;
    let began = clock::now();
    ensure!(
        connection.download("/file").await? == size,
        "nginx's file is cut short"
    );
    Ok(rate(size, began.elapsed()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is printed with few digits"
)]
fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64()
}

fn report(rounds: &[Round]) {
    let of = |which: fn(&Round) -> f64| median(rounds.iter().map(which));
    let disk = of(|it| it.disk);
    let limit = median(rounds.iter().map(|it| it.disk.min(it.md5)));
    println!("\nmedians of the rounds");
    println!(
        "  the disk's own rate        {:>8.0} MB/s, written in order and synced once",
        disk / 1e6
    );
    println!(
        "  MD5 of one core            {:>8.0} MB/s",
        of(|it| it.md5) / 1e6
    );
    for (name, figure) in [
        ("PUT at once", of(|it| it.at_once)),
        ("PUT in parts", of(|it| it.in_parts)),
    ] {
        println!(
            "  {name:<26} {:>8.0} MB/s, {:.2} of the lower of both (at least {RATE_MIN})",
            figure / 1e6,
            figure / limit
        );
    }
    println!(
        "  completing the parts       {:>8.1} ms (below {})",
        median(rounds.iter().map(|it| millis(it.complete))),
        COMPLETE_MAX.as_millis()
    );
    println!(
        "  answer until archived      {:>8.1} ms (below {})",
        median(rounds.iter().map(|it| millis(it.archived))),
        ARCHIVED_MAX.as_millis()
    );
    let download = of(|it| it.download);
    println!("  download                   {:>8.0} MB/s", download / 1e6);
    let nginx: Vec<f64> = rounds.iter().filter_map(|it| it.nginx).collect();
    if nginx.is_empty() {
        println!("  nginx                       skipped: there is none here");
    } else {
        let nginx = median(nginx.into_iter());
        println!(
            "  nginx                      {:>8.0} MB/s, ours {:.2} of it (at least {RATE_MIN})",
            nginx / 1e6,
            download / nginx
        );
    }
    let memory = rounds.iter().map(|it| it.memory_bytes).max().unwrap_or(0);
    println!(
        "  peak memory of the server  {:>8} MiB (below {MEMORY_MIB_MAX})",
        memory >> 20
    );
}
