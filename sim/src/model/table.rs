//! The configurations that are searched, each by the claim it stands for.

use super::bugs::Bug;
use super::configuration::{Configuration, Faults, Minted, Sent};

const V1: Sent = Sent {
    name: "v1",
    key: 0,
    last_modified: 10,
    content: 1,
    is_poisoned: false,
    may_be_deleted: false,
};
const V2: Sent = Sent {
    name: "v2",
    last_modified: 20,
    content: 2,
    ..V1
};
/// A multipart upload that was initiated first and is completed last.
const LATE: Sent = Sent {
    name: "v0",
    last_modified: 5,
    content: 3,
    ..V1
};
/// An upload of the other key, which the first is a prefix of.
const OTHER: Sent = Sent {
    name: "w1",
    key: 1,
    content: 4,
    ..V1
};
const POISON: Sent = Sent {
    is_poisoned: true,
    ..V1
};
/// A client's repeat of the first.
const REPEAT: Sent = Sent { content: 1, ..V2 };
/// A version that goes to a job.
const JOB: Sent = Sent { name: "j1", ..V1 };
const JOB_LATER: Sent = Sent { name: "j2", ..V2 };

const CALM: Configuration = Configuration {
    name: "calm",
    sent: &[V1, V2],
    workers: 2,
    faults: Faults::NONE,
    wakes_each: &[0, 1, 2],
    sweeps: 0,
    late_sweeps: 5,
    retries: 1,
    retries_at_once: false,
    markers: 0,
    minted: Minted::NOT,
    is_embedded: false,
    bug: None,
};

const MINTED: Minted = Minted {
    is: true,
    if_none_match: true,
    may_stay_away: true,
    give_ups: 1,
    one_copy: true,
    without_checksums: false,
};
/// Repeats may come while the first is in staging, and end as that does.
const MINTED_BESIDE: Minted = Minted {
    if_none_match: false,
    one_copy: false,
    ..MINTED
};

/// All that CI searches.
pub const CONFIGURATIONS: &[Configuration] = &[
    // Overwritten while in work: both are archived in order.
    CALM,
    // A wake-up that finds the key taken is not forgotten.
    Configuration {
        name: "no sweep",
        wakes_each: &[1, 2],
        late_sweeps: 0,
        retries: 0,
        ..CALM
    },
    // A crash anywhere loses and doubles nothing.
    Configuration {
        name: "two crashes",
        faults: Faults {
            crashes: 2,
            ..Faults::NONE
        },
        ..CALM
    },
    // A lease that runs out while its holder goes on does no harm.
    Configuration {
        name: "two leases run out",
        faults: Faults {
            expiries: 2,
            ..Faults::NONE
        },
        ..CALM
    },
    Configuration {
        name: "lease, crash and copy",
        faults: Faults {
            expiries: 1,
            crashes: 1,
            copies: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A copy that fails or says nothing is looked for.
    Configuration {
        name: "copies",
        faults: Faults {
            copies: 3,
            wrong_copies: 1,
            crashes: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        ..CALM
    },
    // A multipart that ends late is kept beside and is never current.
    Configuration {
        name: "late multipart",
        sent: &[V1, LATE],
        faults: Faults {
            crashes: 1,
            copies: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A copy that went wrong under a late key is not in the way of the right one.
    Configuration {
        name: "late multipart, wrong copy",
        sent: &[V1, LATE],
        faults: Faults {
            crashes: 1,
            wrong_copies: 1,
            stores: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        ..CALM
    },
    // An archive that does not answer while a worker stalls past its lease.
    Configuration {
        name: "lease and stores",
        faults: Faults {
            expiries: 1,
            stores: 2,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A poisoned version is set aside and holds up no later one, and no other key.
    Configuration {
        name: "poison",
        sent: &[POISON, V2],
        faults: Faults {
            crashes: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[0, 1],
        ..CALM
    },
    Configuration {
        name: "poison and another key, wake-ups alone",
        sent: &[POISON, V2, OTHER],
        wakes_each: &[1],
        late_sweeps: 0,
        retries: 0,
        ..CALM
    },
    // A function that fails once lets later versions go on.
    Configuration {
        name: "function",
        faults: Faults {
            functions: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // What lands after it was set aside is found, whatever else goes wrong meanwhile and at the look for it.
    Configuration {
        name: "lands late",
        sent: &[V1],
        faults: Faults {
            expiries: 1,
            functions: 1,
            crashes: 1,
            wrong_copies: 1,
            stores: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // An operator's retry may come while a worker that has lost its lease still goes on.
    Configuration {
        name: "lands late, retried at once",
        sent: &[V1],
        faults: Faults {
            expiries: 1,
            functions: 1,
            crashes: 1,
            stores: 1,
            copies: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        retries_at_once: true,
        ..CALM
    },
    Configuration {
        name: "poison, retried at once",
        sent: &[POISON, V2],
        faults: Faults {
            crashes: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        retries_at_once: true,
        ..CALM
    },
    // Attempts that each crash are counted and end.
    Configuration {
        name: "three crashes",
        sent: &[V1],
        faults: Faults {
            crashes: 3,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        ..CALM
    },
    // Stores that do not answer.
    Configuration {
        name: "stores",
        faults: Faults {
            stores: 3,
            crashes: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        ..CALM
    },
    // A version deleted by its client is explained or was archived.
    Configuration {
        name: "deleted by its client",
        sent: &[
            Sent {
                may_be_deleted: true,
                ..V1
            },
            V2,
        ],
        faults: Faults {
            crashes: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A delete marker hides nothing from us, wherever it comes.
    Configuration {
        name: "delete markers",
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[0, 1],
        sweeps: 1,
        markers: 1,
        ..CALM
    },
    // A sweep while others work, and a late multipart whose event is lost.
    Configuration {
        name: "sweep and late multipart",
        sent: &[V1, LATE],
        wakes_each: &[0, 1],
        sweeps: 2,
        ..CALM
    },
    // Where ledger and buckets are one store.
    Configuration {
        name: "embedded, crash and lease",
        faults: Faults {
            crashes: 1,
            expiries: 1,
            functions: 1,
            ..Faults::NONE
        },
        is_embedded: true,
        ..CALM
    },
    Configuration {
        name: "embedded, two keys, late and poison",
        sent: &[POISON, LATE, OTHER],
        faults: Faults {
            crashes: 1,
            expiries: 1,
            any: 1,
            ..Faults::NONE
        },
        wakes_each: &[0, 1],
        is_embedded: true,
        ..CALM
    },
    // The server is started anew.
    Configuration {
        name: "restart, wake-ups alone",
        faults: Faults {
            restarts: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        late_sweeps: 0,
        retries: 0,
        ..CALM
    },
    Configuration {
        name: "repeat, crash",
        sent: &[V1, REPEAT],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[0, 1],
        minted: MINTED,
        ..CALM
    },
    // A repeat is a duplicate though a lease runs out.
    Configuration {
        name: "repeat, lease",
        sent: &[V1, REPEAT],
        faults: Faults {
            expiries: 1,
            ..Faults::NONE
        },
        minted: Minted {
            give_ups: 0,
            ..MINTED
        },
        ..CALM
    },
    // A repeat beside the first in staging is a duplicate once that is archived.
    Configuration {
        name: "repeat beside, copies",
        sent: &[V1, REPEAT],
        faults: Faults {
            crashes: 2,
            copies: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[0, 1],
        minted: Minted {
            without_checksums: true,
            ..MINTED_BESIDE
        },
        ..CALM
    },
    // Other bytes under a minted key are a new upload.
    Configuration {
        name: "other bytes",
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        minted: Minted {
            if_none_match: false,
            ..MINTED
        },
        ..CALM
    },
    Configuration {
        name: "other bytes, no checksums",
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        minted: Minted {
            if_none_match: false,
            without_checksums: true,
            ..MINTED
        },
        ..CALM
    },
    // The first bytes again behind other bytes are a new upload and current.
    Configuration {
        name: "the first bytes again",
        sent: &[
            V1,
            V2,
            Sent {
                name: "v3",
                last_modified: 30,
                ..V1
            },
        ],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        minted: MINTED_BESIDE,
        ..CALM
    },
    // An upload that comes while it is given up is not hidden by that.
    Configuration {
        name: "given up",
        sent: &[V1],
        faults: Faults {
            crashes: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        minted: Minted {
            give_ups: 2,
            ..MINTED
        },
        ..CALM
    },
    // A repeat of a poisoned upload ends as that does.
    Configuration {
        name: "poisoned repeat",
        sent: &[
            POISON,
            Sent {
                is_poisoned: true,
                ..REPEAT
            },
        ],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        minted: MINTED_BESIDE,
        ..CALM
    },
    // A repeat that may be in the archive itself is looked for before it is compared.
    Configuration {
        name: "repeat in doubt",
        sent: &[V1, Sent { content: 1, ..LATE }],
        faults: Faults {
            copies: 2,
            functions: 1,
            ..Faults::NONE
        },
        workers: 1,
        wakes_each: &[1],
        minted: MINTED_BESIDE,
        ..CALM
    },
    // A later version waits for the job of an older one.
    Configuration {
        name: "job, then a version",
        sent: &[JOB, V2],
        ..CALM
    },
    // A job behind a version in work is processed after it, by a job.
    Configuration {
        name: "a version, then a job",
        sent: &[V1, JOB_LATER],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "two jobs",
        sent: &[JOB, JOB_LATER],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A job that dies or stalls anywhere is tried again and archived once.
    Configuration {
        name: "job, two crashes",
        sent: &[JOB, V2],
        faults: Faults {
            crashes: 2,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "job, lease and copy",
        sent: &[JOB, V2],
        faults: Faults {
            expiries: 1,
            copies: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "job, function",
        sent: &[JOB, V2],
        faults: Faults {
            expiries: 1,
            functions: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "job, embedded",
        sent: &[JOB, V2],
        faults: Faults {
            expiries: 1,
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        is_embedded: true,
        ..CALM
    },
    // A server started anew finishes jobs that an earlier one began.
    Configuration {
        name: "job, restarts",
        sent: &[JOB, V2],
        faults: Faults {
            crashes: 1,
            restarts: 2,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A cancelled job moves nothing more and later versions go on.
    Configuration {
        name: "job, cancelled",
        sent: &[JOB, V2],
        faults: Faults {
            restarts: 1,
            cancels: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // A job that is deleted by its client is explained.
    Configuration {
        name: "job, deleted by its client",
        sent: &[
            Sent {
                may_be_deleted: true,
                ..JOB
            },
            V2,
        ],
        faults: Faults {
            crashes: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    // Two uploads with equal bytes, and so with equal tags.
    Configuration {
        name: "equal bytes, crash and copy",
        sent: &[V1, REPEAT],
        faults: Faults {
            crashes: 1,
            copies: 2,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "equal bytes around others, lease and copy",
        sent: EQUAL,
        faults: Faults {
            expiries: 1,
            copies: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        ..CALM
    },
    Configuration {
        name: "equal bytes, embedded, lease",
        sent: EQUAL,
        faults: Faults {
            crashes: 1,
            expiries: 1,
            ..Faults::NONE
        },
        wakes_each: &[1],
        is_embedded: true,
        ..CALM
    },
    WHOLE,
    WHOLE_SWEPT,
    WHOLE_LATE,
    WHOLE_LATE_SWEPT,
];

/// The first and the last have equal bytes; what is between has others.
const EQUAL: &[Sent] = &[
    V1,
    V2,
    Sent {
        name: "v3",
        last_modified: 30,
        ..V1
    },
];

/// What S3's conditions cannot prevent, because they compare tags and not versions: a worker that stalls past its lease
/// between its look at the archive and its copy, while another archives that upload, whose bytes are those that were current
/// when it looked. Its copy lands as well. The embedded store moves in one change and has no such moment.
pub const EQUAL_TAGS: Configuration = Configuration {
    name: "equal tags, lease",
    sent: &[V1, REPEAT],
    faults: Faults {
        expiries: 1,
        ..Faults::NONE
    },
    wakes_each: &[1],
    ..CALM
};

/// The same, and the other worker passes over that upload because the function fails for a while, and archives a third one
/// with the bytes of the first: what lands then is older than what is current.
pub const EQUAL_TAGS_PASSED_OVER: Configuration = Configuration {
    name: "equal tags, lease, passed over",
    sent: EQUAL,
    faults: Faults {
        expiries: 1,
        functions: 1,
        ..Faults::NONE
    },
    wakes_each: &[1],
    ..CALM
};

/// Everything at once: three versions of two keys, one of them a late multipart and one poisoned, two workers, a retry,
/// events lost, and any one thing that goes wrong. Sweeps come when all is quiet, and go on beside the turns they wake.
pub const WHOLE: Configuration = Configuration {
    name: "the whole, any one fault",
    sent: &[POISON, LATE, OTHER],
    faults: Faults {
        crashes: 1,
        expiries: 1,
        copies: 1,
        wrong_copies: 1,
        functions: 1,
        stores: 1,
        restarts: 1,
        any: 1,
        ..Faults::NONE
    },
    wakes_each: &[0, 1],
    ..CALM
};

/// As [`WHOLE`], without faults and with a sweep that begins at any moment.
pub const WHOLE_SWEPT: Configuration = Configuration {
    name: "the whole, a sweep at any moment",
    faults: Faults::NONE,
    sweeps: 1,
    ..WHOLE
};

/// As [`WHOLE`], where the late multipart does come late: the version it is older than is archived, and the poisoned one is
/// of the other key. Events are doubled and not lost, which a sweep would only mend.
pub const WHOLE_LATE: Configuration = Configuration {
    name: "the whole, late, any one fault",
    sent: &[
        V1,
        LATE,
        Sent {
            is_poisoned: true,
            ..OTHER
        },
    ],
    wakes_each: &[1, 2],
    ..WHOLE
};

/// As [`WHOLE_LATE`], with events lost and a sweep that begins at any moment in place of faults.
pub const WHOLE_LATE_SWEPT: Configuration = Configuration {
    name: "the whole, late, a sweep at any moment",
    faults: Faults::NONE,
    wakes_each: &[0, 1],
    sweeps: 1,
    ..WHOLE_LATE
};

/// Both, which is larger than each build has time for.
pub const WHOLE_LONG: Configuration = Configuration {
    name: "the whole, any one fault and a sweep",
    sweeps: 1,
    ..WHOLE
};

/// As [`WHOLE_LONG`], where the late multipart does come late.
pub const WHOLE_LATE_LONG: Configuration = Configuration {
    name: "the whole, late, any one fault and a sweep",
    wakes_each: &[0, 1],
    sweeps: 1,
    ..WHOLE_LATE
};

/// What takes minutes each.
pub const LONG: &[Configuration] = &[WHOLE_LONG, WHOLE_LATE_LONG];

/// Where a planted mistake is looked for: as small as shows it.
pub fn planted(bug: Bug) -> Configuration {
    let small = Configuration {
        wakes_each: &[1],
        retries: 0,
        ..CALM
    };
    let with = |faults| Configuration { faults, ..small };
    let alone = Configuration {
        late_sweeps: 0,
        ..small
    };
    let config = match bug {
        Bug::DeleteByName | Bug::DeleteBeforeRecord | Bug::SkipsFunction => small,
        Bug::NoArchiveCheck => with(Faults {
            crashes: 1,
            ..Faults::NONE
        }),
        Bug::UnconditionalCopy => with(Faults {
            expiries: 1,
            ..Faults::NONE
        }),
        Bug::LooksOnlyAtCurrent => with(Faults {
            crashes: 1,
            functions: 1,
            ..Faults::NONE
        }),
        Bug::SetsAsideWhatIsArchived | Bug::IgnoresFenceAtRecord | Bug::NeverLooksAgain => {
            with(Faults {
                expiries: 1,
                functions: 1,
                ..Faults::NONE
            })
        }
        Bug::HonoursDeadLeases => Configuration {
            faults: Faults {
                restarts: 1,
                ..Faults::NONE
            },
            ..alone
        },
        Bug::NoDirtyFlag | Bug::AcknowledgesOnConflict => alone,
        Bug::ConflictIsExists => with(Faults {
            copies: 1,
            ..Faults::NONE
        }),
        Bug::SkipsVerify => with(Faults {
            wrong_copies: 1,
            ..Faults::NONE
        }),
        Bug::RecordsAttemptAfterRun => with(Faults {
            crashes: 3,
            ..Faults::NONE
        }),
        Bug::WatermarkSweep => Configuration {
            sent: &[V1, LATE],
            wakes_each: &[0, 1],
            sweeps: 1,
            ..small
        },
        Bug::MarkerHidesAll => Configuration {
            wakes_each: &[0, 1],
            markers: 1,
            ..small
        },
        Bug::PrefixTrap => Configuration {
            sent: &[V1, OTHER],
            ..small
        },
        Bug::StartsFruitlessJobs => Configuration {
            sent: &[
                Sent {
                    may_be_deleted: true,
                    ..JOB
                },
                V2,
            ],
            ..small
        },
    };
    Configuration {
        name: bug.name(),
        ..config
    }
}
