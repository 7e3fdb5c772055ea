//! The bounds, each with its source.

/// The largest event: 6 MB as Lambda writes it for synchronous invocations. Lambda's own message names the number:
/// "Response payload size exceeded maximum allowed payload size (6291556 bytes)".
pub const PAYLOAD_BYTES_MAX: usize = 6_291_556;

/// The largest response, the same.
pub const RESPONSE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;
