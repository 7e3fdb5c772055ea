use crate::Clients;
use crate::words::words;
use two_buckets_objects::BucketName;

/// Where S3 says a bucket's region.
const REGION: &str = "x-amz-bucket-region";

/// In which region a bucket is (S3 API, `HeadBucket`); none where the store does not say, as others than S3 do not. In
/// words why that cannot be known.
pub async fn region_of_bucket(
    clients: &Clients,
    bucket: &BucketName,
) -> Result<Option<String>, String> {
    let asked = clients.s3().head_bucket().bucket(bucket.as_str());
    match asked.send().await {
        Ok(answer) => Ok(answer.bucket_region),
        Err(error) => {
            let answer = error.raw_response();
            // S3 says it as well to who asks in another region, which it refuses.
            let elsewhere = answer.and_then(|answer| answer.headers().get(REGION));
            match elsewhere.filter(|region| *region != clients.region()) {
                Some(region) => Ok(Some(region.to_owned())),
                None => Err(words(&error)),
            }
        }
    }
}
