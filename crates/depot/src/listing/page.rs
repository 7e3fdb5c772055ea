//! What a page of a list shows: entries, common prefixes, and where the next one begins.

use two_buckets_objects::LIST_PAGE_MAX;

/// How keys are gathered under common prefixes (S3 API, `ListObjectsV2` `Delimiter`).
#[derive(Clone, Copy)]
pub(crate) struct Grouping<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: Option<&'a str>,
}

impl<'a> Grouping<'a> {
    /// An empty delimiter is none.
    pub(crate) fn new(prefix: &'a str, delimiter: Option<&'a str>) -> Self {
        Self {
            prefix,
            delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()),
        }
    }

    /// The text up to and with the first delimiter behind the prefix, if the key has one there.
    pub(crate) fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let rest = key.strip_prefix(self.prefix)?;
        let at = rest.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }

    /// Whether this text is a common prefix as a page shows it.
    pub(crate) fn is_common_prefix(&self, text: &str) -> bool {
        self.common_prefix(text) == Some(text)
    }
}

/// The last key or common prefix of a page, and what it stopped at within a key.
type Marker<M> = (String, Option<M>);

/// A page as it fills.
pub(crate) struct Filling<T, M> {
    limit: usize,
    entries: Vec<T>,
    common_prefixes: Vec<String>,
    last: Option<Marker<M>>,
    is_cut: bool,
}

impl<T, M> Filling<T, M> {
    /// A page of at most this many, and never more than 1,000; none if there is nothing to fill.
    pub(crate) fn new(limit: Option<usize>) -> Option<Self> {
        let limit = limit.unwrap_or(LIST_PAGE_MAX).min(LIST_PAGE_MAX);
        (limit > 0).then(|| Self {
            limit,
            entries: Vec::new(),
            common_prefixes: Vec::new(),
            last: None,
            is_cut: false,
        })
    }

    /// Whether one more fits. If not, there was something more: the page is cut.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.entries.len() + self.common_prefixes.len() < self.limit;
        self.is_cut |= !has_room;
        has_room
    }

    pub(crate) fn entry(&mut self, entry: T, key: &str, marker: Option<M>) {
        self.entries.push(entry);
        self.last = Some((key.to_owned(), marker));
    }

    pub(crate) fn common_prefix(&mut self, prefix: &str) {
        self.common_prefixes.push(prefix.to_owned());
        self.last = Some((prefix.to_owned(), None));
    }

    /// The entries, the common prefixes, and where the next page begins if this one is cut.
    pub(crate) fn finish(self) -> (Vec<T>, Vec<String>, Option<Marker<M>>) {
        let next = self.last.filter(|_| self.is_cut);
        (self.entries, self.common_prefixes, next)
    }
}
