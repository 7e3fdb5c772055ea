//! Wake-ups through moto's SQS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::{Semaphore, mpsc, oneshot};
use two_buckets_aws::wake::{Message, Receiver, ReceiverOptions, SqsWakeUps, read};
use two_buckets_aws::{ClientOptions, Clients};
use two_buckets_objects::{ObjectRef, Timestamp};
use two_buckets_pipeline::{Clock, WakeUp, WakeUps as _, Why};

use crate::canned::{Canned, Reply};
use crate::moto::moto;

pub(crate) struct MachineClock;

impl Clock for MachineClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "moto keeps messages back by the time of the machine"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

pub(crate) struct Queue {
    pub(crate) client: aws_sdk_sqs::Client,
    pub(crate) url: String,
}

impl Queue {
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let credentials = Credentials::new("TESTKEY", "test/secret", None, None, "test");
        let options = ClientOptions {
            region: Some("us-east-1".into()),
            endpoint_url: Some(moto()?.endpoint.clone()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..ClientOptions::default()
        };
        let client = Clients::from_environment(&options).await.unwrap().sqs();
        let made = client.create_queue().queue_name(name).send().await.unwrap();
        Some(Self {
            client,
            url: made.queue_url.unwrap(),
        })
    }

    pub(crate) async fn send(&self, body: &str) {
        let call = self.client.send_message().queue_url(&self.url);
        call.message_body(body).send().await.unwrap();
    }

    /// How many messages there are, by whether they may be received now, are hidden, or kept back.
    pub(crate) async fn counts(&self) -> [usize; 3] {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = call
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .unwrap();
        let counts = answer.attributes.unwrap();
        names.map(|name| counts[&name].parse().unwrap())
    }

    fn receiver(
        &self,
        keys_at_once: usize,
        visibility_timeout: Duration,
    ) -> Arc<Receiver<MachineClock>> {
        let options = ReceiverOptions {
            keys_at_once,
            visibility_timeout,
        };
        Arc::new(Receiver::new(
            self.client.clone(),
            self.url.clone(),
            Arc::new(MachineClock),
            options,
        ))
    }
}

/// S3's event of these keys of the bucket `staging`, which are encoded as in a form.
pub(crate) fn event(keys: &[&str]) -> String {
    let records: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                r#"{{"eventVersion":"2.6","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"staging"}},"object":{{"key":"{key}"}}}}}}"#
            )
        })
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn wake_up(key: &str) -> WakeUp {
    WakeUp {
        key: ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
        },
        why: Why::Event,
    }
}

/// Stops once this many turns were taken, none of them to its end for `owed` and `panics`; gives how often each key had one.
async fn turns(queue: &Queue, count: usize) -> BTreeMap<String, usize> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let work = move |wake_up: WakeUp| {
        let tell = tell.clone();
        async move {
            let key = wake_up.key.key.to_string();
            let (is_done, panics) = (key != "owed", key == "panics");
            if !panics {
                // Behind those that do not come to their end.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tell.send(key).unwrap();
            assert!(!panics, "as the test wants it");
            is_done
        }
    };
    let receiver = queue.receiver(4, Duration::from_secs(30));
    let running = tokio::spawn(receiver.run(work, async {
        stopped.await.unwrap();
    }));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..count {
        let key = tokio::time::timeout(Duration::from_secs(30), told.recv())
            .await
            .expect("a turn is taken")
            .unwrap();
        *seen.entry(key).or_default() += 1;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    while let Ok(key) = told.try_recv() {
        *seen.entry(key).or_default() += 1;
    }
    seen
}

/// What is understood is looked at and deleted, and so is what is not, after it was said.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_deleted_once_its_keys_were_looked_at() {
    let Some(queue) = Queue::new("looked-at").await else {
        return;
    };
    queue.send(&event(&["a+b", "c"])).await;
    queue.send(&event(&["c"])).await;
    queue
        .send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#)
        .await;
    queue.send("garbage").await;
    let seen = turns(&queue, 2).await;
    assert_eq!(seen, [("a b".to_owned(), 1), ("c".to_owned(), 1)].into());
    assert_eq!(queue.counts().await, [0, 0, 0]);
}

/// What could not be looked at, and could not be put back, comes again with all that stands in its message.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_which_a_turn_is_owed_is_not_deleted() {
    let Some(queue) = Queue::new("owed").await else {
        return;
    };
    queue.send(&event(&["owed", "done"])).await;
    queue.send(&event(&["panics", "done"])).await;
    queue.send(&event(&["done"])).await;
    turns(&queue, 3).await;
    assert_eq!(
        queue.counts().await,
        [0, 2, 0],
        "they are hidden for a while"
    );
}

/// A hint for later is kept back, and what is further away than a queue keeps it is put back when it comes too early.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_for_later_is_not_looked_at_before_its_moment_and_not_lost() {
    let Some(queue) = Queue::new("later").await else {
        return;
    };
    let clock = Arc::new(MachineClock);
    let wake_ups = SqsWakeUps::new(queue.client.clone(), queue.url.clone(), clock);
    let in_an_hour = MachineClock.now().after(Duration::from_hours(1));
    wake_ups.wake(wake_up("later"), Some(in_an_hour)).await;
    assert_eq!(queue.counts().await, [0, 0, 1]);
    wake_ups.wake(wake_up("now"), None).await;
    // As it comes out of a queue after the longest delay.
    let early = format!(
        r#"{{"two-buckets":"wake-up","hint":{{"bucket":"staging","key":"early","is_gone":false,"not_before_ms":{}}}}}"#,
        in_an_hour.millis()
    );
    queue.send(&early).await;
    queue.send(&event(&["last"])).await;
    let seen = turns(&queue, 2).await;
    assert_eq!(seen, [("last".to_owned(), 1), ("now".to_owned(), 1)].into());
    assert_eq!(queue.counts().await, [0, 0, 2]);
}

/// A turn that is longer than the visibility time-out keeps its message, and a stop waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_turn_keeps_its_message_and_is_finished_before_the_end() {
    let Some(queue) = Queue::new("long").await else {
        return;
    };
    queue.send(&event(&["long"])).await;
    let begun = Arc::new(Semaphore::new(0));
    let (go_on, may_end) = tokio::sync::watch::channel(false);
    let work = {
        let begun = begun.clone();
        move |_| {
            let (begun, mut may_end) = (begun.clone(), may_end.clone());
            async move {
                begun.add_permits(1);
                may_end.wait_for(|it| *it).await.unwrap();
                true
            }
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    // With room for no other key it asks for nothing meanwhile: moto goes on to answer a call that was dropped, and what it
    // gives to that one nobody else would see.
    let receiver = queue.receiver(1, Duration::from_secs(3));
    let running = tokio::spawn(receiver.run(work, async {
        stopped.await.unwrap();
    }));
    begun.acquire().await.unwrap().forget();
    stop.send(()).unwrap();
    // Longer than the message was hidden at first: others would get it now.
    let others = queue.client.receive_message().queue_url(&queue.url);
    let others = others.wait_time_seconds(4).send().await.unwrap();
    assert_eq!(others.messages(), []);
    assert!(!running.is_finished());
    assert_eq!(queue.counts().await, [0, 1, 0]);
    go_on.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(queue.counts().await, [0, 0, 0]);
    assert_eq!(begun.available_permits(), 0);
}

/// Whoever is woken early, because a queue keeps nothing back for longer than 15 minutes, must know that it is early.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_for_later_says_its_moment_to_whoever_receives_it() {
    let sqs = Canned::start(|_| Reply::json(&serde_json::json!({ "MessageId": "1" }))).await;
    let client = sqs.clients().await.sqs();
    let wake_ups = SqsWakeUps::new(client, "https://sqs/1/q".into(), Arc::new(MachineClock));
    let in_an_hour = MachineClock.now().after(Duration::from_hours(1));
    wake_ups.wake(wake_up("later"), Some(in_an_hour)).await;
    let [asked] = &sqs.take()[..] else {
        panic!("it is sent once");
    };
    let sent = asked.json();
    assert_eq!(sent["DelaySeconds"], 900);
    let later = Message::Later {
        wake_up: wake_up("later"),
        not_before: in_an_hour,
    };
    assert_eq!(read(sent["MessageBody"].as_str().unwrap()), Ok(later));
}

/// One message may name hundreds of keys, and a machine has room for so many files only.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_keys_are_looked_at_at_once_than_there_are_seats() {
    let Some(queue) = Queue::new("seats").await else {
        return;
    };
    let keys: Vec<String> = (0..12).map(|n| format!("k-{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    queue.send(&event(&keys)).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tell, mut told) = mpsc::unbounded_channel();
    let work = {
        let most = most.clone();
        move |_| {
            let (running, most, tell) = (running.clone(), most.clone(), tell.clone());
            async move {
                let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(at_once, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                tell.send(()).unwrap();
                true
            }
        }
    };
    let receiver = queue.receiver(4, Duration::from_secs(30));
    let stopping = async move {
        for _ in 0..keys.len() {
            told.recv().await.unwrap();
        }
    };
    receiver.run(work, stopping).await;
    assert_eq!(most.load(Ordering::SeqCst), 4);
}
