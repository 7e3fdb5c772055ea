//! Multipart uploads, carried by the server and signed call by call.

use http::Method;
use two_buckets_objects::ETag;
use two_buckets_uploads::{
    CompleteMultipart, CreateMultipart, Error, Grants as _, MultipartId, MultipartRef, Operation,
    PartNumber,
};

use super::client::{Answer, send};
use super::urls::signed;
use super::{
    Call, Place, assert_unchanged, everything, holds, key, put_as_owner, put_part_as_owner,
    refusal, stored,
};

/// The least that S3 takes for a part with another behind it.
const PART: usize = 5 << 20;

fn number(number: u64) -> PartNumber {
    number.try_into().unwrap()
}

async fn begin<P: Place>(place: &P, of_key: &str) -> MultipartRef {
    let create = CreateMultipart {
        key: key(of_key),
        content_type: Some("text/csv; charset=utf-8".parse().unwrap()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
    };
    MultipartRef {
        key: key(of_key),
        upload: place.grants().create_multipart(create).await.unwrap(),
    }
}

/// Sends a part as a browser does: by its URL, with nothing but its bytes.
async fn send_part<P: Place>(place: &P, at: &MultipartRef, of: u64, bytes: &[u8]) -> Answer {
    let operation = Operation::PutPart {
        upload: at.upload.clone(),
        number: number(of),
    };
    let url = signed(place, operation, at.key.as_str(), &[]).await.url;
    send(&Method::PUT, &url, &[], bytes).await
}

async fn part<P: Place>(place: &P, at: &MultipartRef, of: u64, bytes: &[u8]) -> (PartNumber, ETag) {
    let answer = send_part(place, at, of, bytes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (number(of), ETag::new(answer.header("etag").unwrap()))
}

fn completion(
    at: &MultipartRef,
    parts: Vec<(PartNumber, ETag)>,
    must_be_new: bool,
) -> CompleteMultipart {
    CompleteMultipart {
        at: at.clone(),
        parts,
        must_be_new,
    }
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}

/// The object has its parts' bytes, with a checksum over all of them, and what was said when it was begun.
pub async fn a_multipart_upload_is_carried_with_all_that_was_said_of_it<P: Place>(place: &P) {
    let at = begin(place, "big/a b.csv").await;
    let bytes: Vec<u8> = (0..PART + 7).map(|n| n.to_le_bytes()[n % 3]).collect();
    let first = part(place, &at, 1, &bytes[..PART]).await;
    // A part that is sent again is another one.
    part(place, &at, 2, b"something else").await;
    let second = part(place, &at, 2, &bytes[PART..]).await;
    let listed = place.grants().list_parts(&at).await.unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .map(|it| (it.number, it.etag, it.size_bytes))
        .collect();
    assert_eq!(
        listed,
        [(1, first.1.clone(), PART as u64), (2, second.1.clone(), 7)]
    );
    assert!(stored(place, "big/a b.csv").await.is_none());
    let complete = completion(&at, vec![first, second], true);
    let made = place.grants().complete_multipart(complete).await.unwrap();
    assert!(holds(place, "big/a b.csv", &bytes).await);
    let found = stored(place, "big/a b.csv").await.unwrap();
    assert_eq!(made.etag, found.header("etag").map(ETag::new));
    assert_eq!(
        found.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    assert_eq!(found.header("x-amz-meta-who"), Some("me"));
    assert_eq!(found.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert!(found.header("x-amz-checksum-crc64nvme").is_some());
}

/// A client whose answer was lost asks again. What is under the key then is its own file.
pub async fn a_completion_that_is_repeated_never_blames_another_file<P: Place>(place: &P) {
    for must_be_new in [true, false] {
        let name = format!("again/{must_be_new}");
        let at = begin(place, &name).await;
        let parts = vec![part(place, &at, 1, b"small").await];
        let complete = || {
            let complete = completion(&at, parts.clone(), must_be_new);
            place.grants().complete_multipart(complete)
        };
        let made = complete().await.unwrap();
        let before = everything(place).await;
        match complete().await {
            Ok(again) => assert_eq!(again, made),
            Err(error) => assert!(is_not_found(&error), "{error:?}"),
        }
        assert_unchanged(place, &before, "a completion that was repeated").await;
    }
}

/// How many versions there are under a key.
async fn versions_of<P: Place>(place: &P, of_key: &str) -> usize {
    let list = Call::new(Method::GET, place.staging(), "").query("versions", "");
    let answer = list.query("prefix", of_key).by(place, &place.owner()).await;
    let listed = String::from_utf8(answer.body).unwrap();
    listed.matches("<VersionId>").count()
}

/// Whoever may only make a new file does not overwrite one, and loses no parts by trying.
pub async fn completing_over_another_file_is_a_conflict_that_keeps_the_parts<P: Place>(place: &P) {
    let at = begin(place, "taken").await;
    let parts = vec![part(place, &at, 1, b"mine").await];
    put_as_owner(place, place.staging(), "taken", b"theirs").await;
    let before = everything(place).await;
    let complete = completion(&at, parts.clone(), true);
    let error = refusal(place.grants().complete_multipart(complete)).await;
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert_unchanged(place, &before, "a completion over another file").await;
    assert_eq!(place.grants().list_parts(&at).await.unwrap().len(), 1);
    let complete = completion(&at, parts, false);
    place.grants().complete_multipart(complete).await.unwrap();
    // Its place among the versions is where it was begun, so it is not current (S3 User Guide, "Uploading and copying
    // objects using multipart upload", concurrent operations).
    assert!(holds(place, "taken", b"theirs").await);
    assert_eq!(versions_of(place, "taken").await, 2);
}

/// A part is named with its tag, so it cannot be exchanged between looking and completing.
pub async fn parts_that_are_not_as_named_are_refused<P: Place>(place: &P) {
    let at = begin(place, "named").await;
    let (_, etag) = part(place, &at, 1, b"one").await;
    let other = part(place, &at, 2, b"two").await;
    let before = everything(place).await;
    for parts in [
        vec![(number(1), ETag::new("0123456789abcdef0123456789abcdef"))],
        vec![(number(3), etag.clone())],
        vec![other.clone(), (number(1), etag.clone())],
        // Too small to have another behind it.
        vec![(number(1), etag.clone()), other.clone()],
    ] {
        let complete = completion(&at, parts.clone(), false);
        let error = refusal(place.grants().complete_multipart(complete)).await;
        assert!(
            matches!(error, Error::Refused { .. }),
            "{parts:?}: {error:?}"
        );
        assert_unchanged(place, &before, "parts that are not there").await;
    }
    let complete = completion(&at, vec![other], false);
    place.grants().complete_multipart(complete).await.unwrap();
    assert!(holds(place, "named", b"two").await);
}

/// The id of an upload is worth nothing without its key, and nothing once it is over.
pub async fn an_upload_that_is_gone_or_of_another_key_is_not_found<P: Place>(place: &P) {
    let at = begin(place, "theirs").await;
    let (one, etag) = part(place, &at, 1, b"one").await;
    let strange: MultipartId = "not-an-upload".parse().unwrap();
    let before = everything(place).await;
    let wrong = [
        MultipartRef {
            key: key("mine"),
            upload: at.upload.clone(),
        },
        MultipartRef {
            key: key("theirs"),
            upload: strange,
        },
    ];
    for wrong in &wrong {
        let grants = place.grants();
        let error = refusal(grants.list_parts(wrong)).await;
        assert!(is_not_found(&error), "{error:?}");
        let complete = completion(wrong, vec![(one, etag.clone())], false);
        let error = refusal(grants.complete_multipart(complete)).await;
        assert!(is_not_found(&error), "{error:?}");
        grants.abort_multipart(wrong).await.unwrap();
        assert_unchanged(place, &before, "an upload that is not there").await;
    }
    let grants = place.grants();
    grants.abort_multipart(&at).await.unwrap();
    assert!(is_not_found(&refusal(grants.list_parts(&at)).await));
    let complete = completion(&at, vec![(one, etag)], false);
    assert!(is_not_found(
        &refusal(grants.complete_multipart(complete)).await
    ));
    grants.abort_multipart(&at).await.unwrap();
    assert!(stored(place, "theirs").await.is_none());
}

/// However many there are: who resumes sends again what is not in the list.
pub async fn every_part_that_was_received_is_listed<P: Place>(place: &P) {
    let at = begin(place, "many").await;
    // More than a page of S3's.
    for number in 1..=1_003 {
        put_part_as_owner(place, "many", at.upload.as_str(), number).await;
    }
    let listed = place.grants().list_parts(&at).await.unwrap();
    let numbers: Vec<u32> = listed.iter().map(|part| part.number).collect();
    assert_eq!(numbers, (1..=1_003).collect::<Vec<_>>());
}

/// Each call is one URL, which makes no other.
pub async fn calls_of_a_multipart_upload_are_signed_one_by_one<P: Place>(place: &P) {
    let name = "by/url";
    let create = signed(place, Operation::CreateMultipart, name, &[])
        .await
        .url;
    let begun = send(&Method::POST, &create, &[], b"").await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let upload: MultipartId = begun.element("UploadId").unwrap().parse().unwrap();
    let at = MultipartRef {
        key: key(name),
        upload: upload.clone(),
    };
    let put = Operation::PutPart {
        upload: upload.clone(),
        number: number(1),
    };
    let put = signed(place, put, name, &[]).await.url;
    let before = everything(place).await;
    for other in [
        put.replacen("partNumber=1", "partNumber=2", 1),
        put.replacen("by/url", "by/other", 1),
        put.replacen("partNumber=1&", "", 1),
    ] {
        assert_ne!(other, put);
        let answer = send(&Method::PUT, &other, &[], b"x").await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = send(&method, &put, &[], b"").await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_unchanged(place, &before, "the URL of a part, used for something else").await;
    let (_, etag) = part(place, &at, 1, b"one").await;

    let list = Operation::ListParts {
        upload: upload.clone(),
    };
    let list = signed(place, list, name, &[]).await.url;
    let listed = send(&Method::GET, &list, &[], b"").await;
    assert_eq!(listed.status, 200, "{listed:?}");
    assert_eq!(listed.element("PartNumber"), Some("1"));

    let complete = Operation::CompleteMultipart {
        upload: upload.clone(),
    };
    let complete = signed(place, complete, name, &[("if-none-match", "*")])
        .await
        .url;
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        etag.quoted()
    );
    let answer = send(&Method::POST, &complete, &[], document.as_bytes()).await;
    assert_eq!(answer.status, 403, "without its condition: {answer:?}");
    let condition = [("if-none-match".to_owned(), "*".to_owned())];
    let answer = send(&Method::POST, &complete, &condition, document.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(holds(place, name, b"one").await);

    let at = begin(place, name).await;
    let abort = Operation::AbortMultipart {
        upload: at.upload.clone(),
    };
    let abort = signed(place, abort, name, &[]).await.url;
    let answer = send(&Method::DELETE, &abort, &[], b"").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(is_not_found(&refusal(place.grants().list_parts(&at)).await));
}
