//! Mistakes that can be planted, to see that the simulator finds them.

/// A known mistake, made around the product and not in it: by the disk, or by what wraps store, ledger and events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// The disk says it has synced and has not.
    SyncDoesNothing,
    /// What is written is synced only when something is written next, after the client was answered.
    AcknowledgedBeforeSync,
    /// There is no sweep: what no event told of is forgotten.
    NoSweep,
    /// The sweep looks only at versions that are newer than the newest it has seen.
    WatermarkSweep,
    /// An attempt is not recorded before it runs.
    AttemptNotRecorded,
    /// A worker whose lease is gone goes on as if it had the newest token.
    FencingIgnored,
    /// A version is deleted from staging before its copy is made.
    DeletedBeforeCopy,
    /// Whatever version of the key is current is deleted, not the one that was archived.
    DeletedByName,
    /// A copy takes the key whatever has become of it since it was looked at.
    UnconditionalCopy,
    /// What is read from the disk is not compared with any checksum.
    ReadUnchecked,
    /// What was set aside while a copy may have been on its way is never looked for again.
    NeverLooksAgain,
    /// What had an attempt before is archived without another run.
    FunctionSkipped,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SyncDoesNothing,
        Self::AcknowledgedBeforeSync,
        Self::NoSweep,
        Self::WatermarkSweep,
        Self::AttemptNotRecorded,
        Self::FencingIgnored,
        Self::DeletedBeforeCopy,
        Self::DeletedByName,
        Self::UnconditionalCopy,
        Self::ReadUnchecked,
        Self::NeverLooksAgain,
        Self::FunctionSkipped,
    ];

    /// Whether it can only be made where store and ledger are asked step by step.
    pub(super) fn is_of_steps(self) -> bool {
        match self {
            Self::SyncDoesNothing
            | Self::AcknowledgedBeforeSync
            | Self::NoSweep
            | Self::WatermarkSweep
            | Self::ReadUnchecked
            | Self::FunctionSkipped => false,
            Self::AttemptNotRecorded
            | Self::FencingIgnored
            | Self::DeletedBeforeCopy
            | Self::DeletedByName
            | Self::UnconditionalCopy
            | Self::NeverLooksAgain => true,
        }
    }
}
