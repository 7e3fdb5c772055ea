//! Lists of the store against what a page must show.

use two_buckets_depot::{Error, ListObjects, ListUploads};

use super::{World, bucket};
use crate::model::size_of;
use crate::operations::List;

impl World {
    /// What a list shows of these names in order, as pages of `limit`.
    fn expected_pages(
        list: &List,
        names: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Vec<String>> {
        let delimiter = list.delimiter.filter(|delimiter| !delimiter.is_empty());
        let mut shown: Vec<String> = Vec::new();
        for (key, entry) in names {
            let Some(rest) = key.strip_prefix(list.prefix) else {
                continue;
            };
            let cut = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
            let entry = match cut {
                Some(cut) => format!("prefix {:?}", &key[..list.prefix.len() + cut]),
                None => entry,
            };
            if shown.last() != Some(&entry) {
                shown.push(entry);
            }
        }
        shown.chunks(list.limit).map(<[String]>::to_vec).collect()
    }

    pub(super) fn list_objects(&self, list: &List) {
        let Some(model) = self.model.buckets.get(list.bucket) else {
            let listed = self
                .depot()
                .list_objects(&bucket(list.bucket), &ListObjects::default());
            assert!(matches!(listed, Err(Error::NoSuchBucket(_))));
            return;
        };
        let names = model.keys.iter().filter_map(|(key, versions)| {
            let object = versions.first()?.object.as_ref()?;
            let shown = format!("{key:?} {} {}", object.etag, size_of(&object.runs));
            Some((key.as_str().to_owned(), shown))
        });
        let expected = Self::expected_pages(list, names);
        let mut pages = Vec::new();
        let mut options = options_of(list);
        loop {
            let page = self
                .depot()
                .list_objects(&bucket(list.bucket), &options)
                .unwrap();
            let mut shown: Vec<(String, String)> = page
                .common_prefixes
                .iter()
                .map(|prefix| (prefix.clone(), format!("prefix {prefix:?}")))
                .collect();
            for entry in &page.entries {
                let text = format!("{:?} {} {}", entry.key, entry.etag, entry.size_bytes);
                shown.push((entry.key.as_str().to_owned(), text));
            }
            push_page(&mut pages, shown);
            let Some((after, None)) = page.next else {
                break;
            };
            options.after = Some(after);
        }
        assert_eq!(pages, expected, "{list:?}");
    }

    pub(super) fn list_versions(&self, list: &List) {
        let Some(model) = self.model.buckets.get(list.bucket) else {
            return;
        };
        let names = model.keys.iter().flat_map(|(key, versions)| {
            versions.iter().enumerate().map(move |(index, version)| {
                let object = version.object.as_ref();
                let shown = format!(
                    "{key:?} {:?} {} {:?}",
                    version.id.as_ref().unwrap(),
                    index == 0,
                    object.map(|object| (&object.etag, size_of(&object.runs)))
                );
                (key.as_str().to_owned(), shown)
            })
        });
        let expected = Self::expected_pages(list, names);
        let mut pages = Vec::new();
        let mut options = options_of(list);
        loop {
            let page = self
                .depot()
                .list_versions(&bucket(list.bucket), &options)
                .unwrap();
            let mut shown: Vec<(String, String)> = page
                .common_prefixes
                .iter()
                .map(|prefix| (prefix.clone(), format!("prefix {prefix:?}")))
                .collect();
            for entry in &page.entries {
                assert_eq!(entry.is_delete_marker, entry.etag.is_none());
                let text = format!(
                    "{:?} {:?} {} {:?}",
                    entry.key,
                    entry.version_id,
                    entry.is_latest,
                    entry.etag.as_ref().map(|etag| (etag, entry.size_bytes))
                );
                shown.push((entry.key.as_str().to_owned(), text));
            }
            push_page(&mut pages, shown);
            let Some((after, after_version)) = page.next else {
                break;
            };
            (options.after, options.after_version) = (Some(after), after_version);
        }
        assert_eq!(pages, expected, "{list:?}");
    }

    pub(super) fn list_uploads(&self, list: &List) {
        if !self.model.buckets.contains_key(list.bucket) {
            return;
        }
        let mut open: Vec<_> = self
            .model
            .uploads
            .iter()
            .zip(&self.uploads)
            .filter(|(upload, _)| upload.is_open && upload.bucket == list.bucket)
            .map(|(upload, id)| (upload.key.clone(), upload.serial, id.clone()))
            .collect();
        open.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let names = open
            .into_iter()
            .map(|(key, _, id)| (key.as_str().to_owned(), format!("{key:?} {id:?}")));
        let expected = Self::expected_pages(list, names);
        let mut pages = Vec::new();
        let mut options = ListUploads {
            prefix: list.prefix.into(),
            delimiter: list.delimiter.map(str::to_owned),
            limit: Some(list.limit),
            ..ListUploads::default()
        };
        loop {
            let page = self
                .depot()
                .list_uploads(&bucket(list.bucket), &options)
                .unwrap();
            let mut shown: Vec<(String, String)> = page
                .common_prefixes
                .iter()
                .map(|prefix| (prefix.clone(), format!("prefix {prefix:?}")))
                .collect();
            for upload in &page.uploads {
                let text = format!("{:?} {:?}", upload.key, upload.id);
                shown.push((upload.key.as_str().to_owned(), text));
            }
            push_page(&mut pages, shown);
            let Some((after, upload)) = page.next else {
                break;
            };
            (options.after_key, options.after_upload) = (Some(after), upload);
        }
        assert_eq!(pages, expected, "{list:?}");
    }
}

fn push_page(pages: &mut Vec<Vec<String>>, mut shown: Vec<(String, String)>) {
    // Entries and common prefixes are told apart; by key they are one order. It must not reorder versions of a key.
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    if !shown.is_empty() {
        pages.push(shown.into_iter().map(|(_, text)| text).collect());
    }
}

fn options_of(list: &List) -> ListObjects {
    ListObjects {
        prefix: list.prefix.into(),
        delimiter: list.delimiter.map(str::to_owned),
        limit: Some(list.limit),
        ..ListObjects::default()
    }
}
