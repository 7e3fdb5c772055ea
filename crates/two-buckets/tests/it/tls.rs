//! Both listeners by TLS, and the certificate renewed under connections that go on.

use crate::harness::{Server, ask, complaint, program};
use crate::secure::{Certificate, write_private};

fn start(data: &std::path::Path, certificate: &Certificate) -> Server {
    Server::start_with(&program(), data, |command| {
        command
            .arg("--tls-cert")
            .arg(&certificate.cert)
            .arg("--tls-key")
            .arg(&certificate.key);
    })
}

#[test]
fn both_listeners_speak_tls_and_the_command_line_follows() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make_in(folder.path());
    let server = start(&folder.path().join("data"), &certificate);
    for name in ["web", "s3"] {
        let url = server.record[name].as_str().unwrap();
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        // Whoever trusts another certificate is not served, and plain HTTP gets no answer.
        let other = tempfile::tempdir().unwrap();
        Certificate::make_in(other.path())
            .connect(server.address(name))
            .err()
            .expect("it is not trusted");
        let plain = std::panic::catch_unwind(|| ask(server.address(name), "GET", "/", &[], b""));
        assert!(plain.is_err(), "plain HTTP was answered");
    }
    let web = server.address("web");
    let page = certificate.ask(web, "GET", "/api/server", &[("host", web)], b"");
    assert_eq!(page.status, 200, "{}", page.text());
    let facts: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(facts["s3"]["endpoint"], server.record["s3"]);
    let ours = format!("https://{web}");
    let sweep = certificate.ask(
        web,
        "POST",
        "/api/sweep",
        &[("host", web), ("origin", &ours)],
        b"",
    );
    assert_eq!(sweep.status, 200, "{}", sweep.text());
    let not_ours = format!("http://{web}");
    let sweep = certificate.ask(
        web,
        "POST",
        "/api/sweep",
        &[("host", web), ("origin", &not_ours)],
        b"",
    );
    assert_eq!(sweep.status, 403);

    // AWS tools trust it by the file that it was read from.
    let env = server.json(&["env", "--json"]);
    assert_eq!(env["AWS_ENDPOINT_URL_S3"], server.record["s3"]);
    assert_eq!(env["AWS_CA_BUNDLE"], certificate.cert.to_str().unwrap());
    let text = server.run(&["env"]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("export AWS_CA_BUNDLE="), "{text}");

    let file = folder.path().join("note.txt");
    std::fs::write(&file, "by TLS").unwrap();
    let put = server.run(&["put", "--key", "note.txt", "--wait", file.to_str().unwrap()]);
    assert!(put.status.success(), "{}", complaint(&put));
    assert_eq!(server.wait_for("note.txt", &["archived"]).len(), 1);
}

#[test]
fn a_new_certificate_is_used_while_connections_of_before_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let old = Certificate::make_in(folder.path());
    let mut server = start(&folder.path().join("data"), &old);
    let web = server.address("web").to_owned();
    let mut before = old.connect(&web).unwrap();
    let line = before.keep_asking("/", &[("host", &web)]);
    assert!(line.contains("200") || line.contains("404"), "{line}");

    // Half of a renewal is told and changes nothing.
    write_private(&old.key, "nonsense");
    server.signal("HUP");
    server.wait_for_log("stays in use");
    old.connect(&web).unwrap();

    let new = Certificate::make_in(folder.path());
    server.signal("HUP");
    server.wait_for_log("the new certificate is in use");
    new.connect(&web).unwrap();
    new.connect(server.address("s3")).unwrap();
    old.connect(&web)
        .err()
        .expect("the old one is no longer served");
    let line = before.keep_asking("/", &[("host", &web)]);
    assert!(line.contains("200") || line.contains("404"), "{line}");
    // The command line reads anew whom to trust.
    let status = server.run(&["status", "--json"]);
    assert!(status.status.success(), "{}", complaint(&status));

    // Without a signal it is noticed as well.
    let newest = Certificate::make_in(folder.path());
    server.wait_for_log("the new certificate is in use");
    newest.connect(&web).unwrap();
    drop(before);
    assert_eq!(server.terminate(), Some(0));
}
