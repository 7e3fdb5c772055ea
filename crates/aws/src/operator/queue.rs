use aws_sdk_sqs::types::QueueAttributeName;

use crate::Clients;
use crate::words::words;

/// About how much is in a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueFigures {
    /// Messages that anybody may receive.
    pub waiting: u64,
    /// Messages that somebody received and did not yet delete.
    pub in_work: u64,
    /// Messages that are kept back for a while.
    pub delayed: u64,
}

/// Asks a queue what is in it (SQS API, `GetQueueAttributes`); in words why it cannot be known.
pub async fn queue_figures(clients: &Clients, url: &str) -> Result<QueueFigures, String> {
    use QueueAttributeName as Name;
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
        Name::ApproximateNumberOfMessagesDelayed,
    ];
    let mut asked = clients.sqs().get_queue_attributes().queue_url(url);
    for name in &names {
        asked = asked.attribute_names(name.clone());
    }
    let answer = asked.send().await.map_err(|error| words(&error))?;
    let attributes = answer.attributes.unwrap_or_default();
    let number = |name: &Name| {
        let text = attributes.get(name);
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("the queue does not say {name}"))
    };
    let [waiting, in_work, delayed] = names;
    Ok(QueueFigures {
        waiting: number(&waiting)?,
        in_work: number(&in_work)?,
        delayed: number(&delayed)?,
    })
}
