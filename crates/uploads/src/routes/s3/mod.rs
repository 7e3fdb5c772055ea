//! What the S3 plugin of Uppy speaks (`@uppy/aws-s3` 6), so that its stock client works: `signRequest` asks
//! [`sign`], `companionEndpoint` asks [`params`] and [`multipart`], and `getCredentials` asks [`sts`].

pub(crate) mod multipart;
pub(crate) mod params;
pub(crate) mod sign;
pub(crate) mod sts;
