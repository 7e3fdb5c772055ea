//! A runtime for tests that breaks every rule it is told to break, written on sockets alone.
//!
//! How it starts is told by its handler, what it does with an event by the event's first word.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "it is there to misbehave"
)]

use std::env::var;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

fn main() {
    match var("_HANDLER").unwrap().as_str() {
        "never.asks" => hang(),
        "exits.early" => {
            eprintln!("no such table");
            exit(3);
        }
        "reports.init" => {
            let body = r#"{"errorType":"Runtime.ImportModuleError","errorMessage":"no module named six","stackTrace":["a","b"]}"#;
            println!("{}", call("POST", "init/error", body).0);
            exit(1);
        }
        "speaks.first" => println!("hello from the start"),
        "leaves.children" => {
            leave_children();
            exit(5);
        }
        _ => {}
    }
    let mut before = String::new();
    loop {
        let (head, event) = call("GET", "invocation/next", "");
        if !head.starts_with("HTTP/1.1 200") {
            exit(9);
        }
        let id = header(&head, "lambda-runtime-aws-request-id");
        let (what, rest) = event.split_once(' ').unwrap_or((&event, ""));
        act(what, rest, &id, &head, &before);
        before = id;
    }
}

fn act(what: &str, rest: &str, id: &str, head: &str, before: &str) {
    let respond = |body: &str| call("POST", &format!("invocation/{id}/response"), body).0;
    match what {
        "echo" => drop(respond(rest)),
        "say" => {
            println!("{rest}");
            respond("null");
        }
        "head" => drop(respond(head)),
        "variables" => {
            let all: Vec<String> = std::env::vars().map(|(n, v)| format!("{n}={v}")).collect();
            respond(&all.join("\n"));
        }
        "folder" => drop(respond(std::env::current_dir().unwrap().to_str().unwrap())),
        "write" => {
            let name = format!("{}/left", var("TMPDIR").unwrap());
            let was_there = std::fs::exists(&name).unwrap();
            std::fs::write(name, vec![1; rest.parse().unwrap()]).unwrap();
            respond(&was_there.to_string());
        }
        "fill" => {
            let name = format!("{}/full", var("TMPDIR").unwrap());
            std::fs::write(name, vec![1; rest.parse().unwrap()]).unwrap();
            hang();
        }
        "fails" => {
            let path = format!("invocation/{id}/error");
            call("POST", &path, rest);
        }
        "fails-and-exits" => {
            let body = r#"{"errorType":"LastWords"}"#;
            let head = format!(
                "POST /2018-06-01/runtime/invocation/{id}/error HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // The reply is not waited for.
            connect().write_all((head + body).as_bytes()).unwrap();
            exit(1);
        }
        "exit" => exit(rest.parse().unwrap()),
        "abort" => std::process::abort(),
        "hang" => hang(),
        "allocate" => {
            let all = vec![1_u8; rest.parse::<usize>().unwrap() << 20];
            std::hint::black_box(&all);
            hang();
        }
        "reserve" => {
            // Zeroed memory is mapped, not touched.
            let all = vec![0_u8; rest.parse::<usize>().unwrap() << 20];
            thread::sleep(Duration::from_millis(500));
            std::hint::black_box(&all);
            respond("null");
        }
        "die-soon" => {
            respond("null");
            let pid = std::process::id();
            let kill = format!("sleep 0.001; kill -9 {pid}");
            Command::new("sh").args(["-c", &kill]).spawn().unwrap();
        }
        "flood" => loop {
            std::io::stdout().write_all(&vec![b'x'; 65536]).unwrap();
        },
        "flood-and-answer" => {
            thread::spawn(|| {
                loop {
                    std::io::stdout().write_all(&vec![b'y'; 65536]).unwrap();
                }
            });
            respond("answered");
        }
        "bytes" => {
            std::io::stdout().write_all(b"\xff\xfe\x00").unwrap();
            std::io::stdout().write_all(&vec![b'z'; 300_000]).unwrap();
            std::io::stderr().write_all(b"E").unwrap();
            std::io::stdout().write_all(b"no line's end").unwrap();
            std::io::stdout().flush().unwrap();
            respond("null");
        }
        "twice" => {
            let first = respond("first");
            let second = respond("second");
            println!("{}", first.lines().next().unwrap());
            println!("{}", second.lines().next().unwrap());
        }
        "for-another" => {
            let other = call(
                "POST",
                "invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response",
                "x",
            );
            let old = call("POST", &format!("invocation/{before}/response"), "x");
            println!(
                "{}\n{}",
                other.0.lines().next().unwrap(),
                old.0.lines().next().unwrap()
            );
            if rest == "hang" {
                hang();
            }
            respond("mine");
        }
        "asks-again" => {
            call("GET", "invocation/next", "");
            hang();
        }
        "asks-twice" => {
            respond("null");
            thread::spawn(|| call("GET", "invocation/next", ""));
            // The first call is open when the second is refused.
            loop {
                if call("GET", "invocation/next", "").0.contains("403") {
                    hang();
                }
            }
        }
        "large" => {
            let status = respond(&"a".repeat(rest.parse().unwrap()));
            println!("{}", status.lines().next().unwrap());
        }
        "cut" => {
            let mut stream = connect();
            write!(stream, "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
            drop(stream);
            hang();
        }
        "stream" => {
            // Chunks, then what `rest` says after the last one.
            let mut stream = connect();
            write!(stream, "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n").unwrap();
            write!(
                stream,
                "5\r\nhello\r\n6\r\n world\r\n0\r\n{}\r\n",
                rest.replace('|', "\r\n")
            )
            .unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
        "garbage" => {
            for bytes in [&b"\0\xff\xfeGARBAGE\r\n\r\n"[..], &vec![b'A'; 200_000][..]] {
                let mut stream = connect();
                // The server may have hung up.
                stream.write_all(bytes).ok();
                stream.read_to_end(&mut Vec::new()).ok();
            }
            let nowhere = call("GET", "nonsense", "").0;
            let method = call("POST", "invocation/next", "").0;
            println!(
                "{}\n{}",
                nowhere.lines().next().unwrap(),
                method.lines().next().unwrap()
            );
            respond("still here");
        }
        "children" => {
            leave_children();
            respond("null");
        }
        "children-and-hang" => {
            leave_children();
            hang();
        }
        "attack" => {
            let mut answers = String::new();
            for path in [
                "invocation/next",
                "init/error",
                &format!("invocation/{id}/response"),
            ] {
                let method = if path.ends_with("next") {
                    "GET"
                } else {
                    "POST"
                };
                let answer = call_at(rest, method, path, "stolen").0;
                answers += answer.lines().next().unwrap_or("nothing");
                answers += "\n";
            }
            respond(&answers);
        }
        "port" => drop(respond(&var("AWS_LAMBDA_RUNTIME_API").unwrap())),
        "exit-after" => {
            respond("answered");
            exit(rest.parse().unwrap());
        }
        "stay-after" => {
            respond("answered");
            hang();
        }
        _ => panic!("no such event: {what}"),
    }
}

/// One in the group, one that left it, and one that left it, was left by its parent and has other variables but the mark.
fn leave_children() {
    let mark = var("AWS_LAMBDA_LOG_STREAM_NAME").unwrap();
    Command::new("sleep").arg("1000").spawn().unwrap();
    Command::new("setsid")
        .args(["sleep", "1000"])
        .spawn()
        .unwrap();
    let orphan = Command::new("sh")
        .args(["-c", "setsid sleep 1000 &"])
        .env_clear()
        .env("PATH", var("PATH").unwrap())
        .env("AWS_LAMBDA_LOG_STREAM_NAME", mark)
        .status();
    orphan.unwrap();
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1000));
    }
}

fn connect() -> TcpStream {
    TcpStream::connect(var("AWS_LAMBDA_RUNTIME_API").unwrap()).unwrap()
}

fn call(method: &str, path: &str, body: &str) -> (String, String) {
    call_at(&var("AWS_LAMBDA_RUNTIME_API").unwrap(), method, path, body)
}

fn call_at(address: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    let all = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    (head.to_owned(), body.to_owned())
}

fn header(head: &str, name: &str) -> String {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(it, _)| it.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .unwrap_or_default()
}
