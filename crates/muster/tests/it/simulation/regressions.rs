//! Seeds that have found defects. They reproduce them only in the version of the simulation that found them; in later
//! versions they are ordinary seeds.

/// An interrupted import created a user again that was purged, or whose email was changed, by another client. 62676: a
/// report counted a user as created that another client had created and the import had changed.
pub(super) const REGRESSIONS: [u64; 90] = [
    62676, 1143, 1569, 3019, 3152, 4687, 5706, 6045, 6982, 7662, 8234, 9466, 14987, 19804, 20558, 21834, 22403, 23466,
    23553, 24347, 24527, 26259, 28318, 28731, 30635, 33049, 33745, 36028, 37270, 37830, 38177, 38522, 39250, 40273,
    42371, 42978, 44145, 45657, 47127, 49370, 51281, 53363, 53419, 53782, 53899, 55022, 55629, 55985, 56638, 57227,
    57567, 57610, 58840, 60931, 61987, 62329, 62925, 67535, 67562, 67759, 69066, 69838, 71336, 71995, 72964, 76643,
    76774, 77631, 77935, 78329, 79775, 80730, 81185, 81419, 82249, 82371, 85846, 90568, 91023, 91498, 94537, 95739,
    96188, 97490, 97601, 97947, 98713, 98833, 98849, 99106,
];
