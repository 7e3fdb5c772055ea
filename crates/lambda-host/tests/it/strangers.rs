//! A function that turns against another's environment.

use crate::harness::{Function, Written, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_cannot_take_or_answer_anothers_invocations() {
    let function = Function::new(|it| it.concurrency = 2);
    let victim = function.acquire().await.unwrap();
    let attacker = function.acquire().await.unwrap();
    let victims_id = victim.id().clone();
    // The attacker gets to know the address, as by trying all ports.
    let port = within(victim.invoke(Written::default().invocation("port")))
        .await
        .unwrap();
    let address = String::from_utf8(port.payload.to_vec()).unwrap();
    let victim = function.acquire().await.unwrap();
    assert_eq!(*victim.id(), victims_id);
    let attack = Written::default().invocation(&format!("attack {address}"));
    let seen = within(attacker.invoke(attack)).await.unwrap();
    assert_eq!(
        String::from_utf8(seen.payload.to_vec()).unwrap(),
        "HTTP/1.1 403 Forbidden\nHTTP/1.1 403 Forbidden\nHTTP/1.1 403 Forbidden\n"
    );
    let answer = within(victim.invoke(Written::default().invocation("echo unharmed"))).await;
    assert_eq!(answer.unwrap().payload, "unharmed");
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_holds_many_connections_keeps_nobody_out() {
    let function = Function::new(|_| {});
    let address = function.text("port").await;
    let mut held = Vec::new();
    for _ in 0..150 {
        held.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(function.text("echo hi").await, "hi");
    function.host.stop().await;
}
