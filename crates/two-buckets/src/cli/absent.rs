//! What is said when there is no upload of a key.

use super::api::Api;
use super::print;
use super::status::PAGE_MAX;
use super::wire::{Page, Upload, read};
use crate::failure::Failure;

/// There is no upload of this key, perhaps none that is in this state. `put` makes a key of its own for a file, so
/// somebody who gives the file's name is told the newest key that ends in it, among the newest of all.
pub(super) async fn no_upload_of(api: &Api, key: &str, state: Option<&str>) -> Failure {
    let state = state.map(|state| format!(" that is {state}"));
    let mut sentence = format!(
        "there is no upload of {}{}",
        print::harmless(key),
        state.unwrap_or_default()
    );
    if let Some(meant) = newest_below(api, key).await {
        sentence.push_str("; the newest file of that name has the key ");
        sentence.push_str(&print::harmless(&meant));
    }
    Failure::failed(sentence)
}

/// None as well where the server does not say: that there is no upload is known without it.
async fn newest_below(api: &Api, name: &str) -> Option<String> {
    let all = api.get(&format!("/api/uploads?limit={PAGE_MAX}")).await;
    let page: Page = read(all.ok()?).ok()?;
    page.uploads
        .into_iter()
        .filter_map(|upload| Some(read::<Upload>(upload).ok()?.key))
        .find(|key| {
            key.strip_suffix(name)
                .is_some_and(|rest| rest.ends_with('/'))
        })
}
