//! Places on the earth as scores of sorted sets. Knows no key, no set: `search` finds places in one.
//!
//! ```text
//! score   b51 b50 ... b1 b0      odd bits: cell of the longitude, -180 to 180 degrees in 2^26 cells
//!                                even bits: cell of the latitude, the Mercator limits in 2^26 cells
//! ```
//!
//! The cells of fewer steps are the prefixes of these scores, so that a cell of any size is one range of scores. A place is
//! read back as the middle of its cell. Order of arithmetic matters: 17 digits of the result are shown. Sources: Morton, "A
//! Computer Oriented Geodetic Data Base", 1966; Niemeyer's geohash (2008) for the text form.

pub mod search;

/// Steps of a full score: bits for each of the two coordinates.
pub const STEPS: u32 = 26;
/// Radius of the sphere that distances are measured on, metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560856;
const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// The longest and the least coordinate.
#[derive(Clone, Copy)]
struct Axis {
    min: f64,
    max: f64,
}

const LON: Axis = Axis { min: -180.0, max: 180.0 };
/// Where a Mercator map becomes a square.
const LAT: Axis = Axis { min: -85.05112878, max: 85.05112878 };

impl Axis {
    /// The cell that holds a coordinate; the very last coordinate has one cell more.
    #[inline]
    fn cell(self, at: f64, steps: u32) -> u32 {
        let share = (at - self.min) / (self.max - self.min);
        (share * (1u64 << steps) as f64) as u32
    }

    /// Where a cell begins and where it ends.
    #[inline]
    fn bounds(self, cell: u32, steps: u32) -> (f64, f64) {
        let (width, cells) = (self.max - self.min, (1u64 << steps) as f64);
        let edge = |cell: f64| self.min + (cell / cells) * width;
        (edge(f64::from(cell)), edge(f64::from(cell.wrapping_add(1))))
    }

    /// The middle of a cell of a full score.
    #[inline]
    fn middle(self, cell: u32) -> f64 {
        let (low, high) = self.bounds(cell, STEPS);
        ((low + high) / 2.0).clamp(self.min, self.max)
    }

    fn holds(self, at: f64) -> bool {
        (self.min..=self.max).contains(&at)
    }
}

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Longitude.
    pub lon: f64,
    /// Latitude.
    pub lat: f64,
}

/// Puts a zero before each bit: bit n goes to 2n.
#[inline]
fn spread(cell: u32) -> u64 {
    let mut bits = u64::from(cell);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// Takes every other bit: bit 2n goes to n.
#[inline]
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// The bits of any score that a sorted set may hold, also of one that was never made here: those that a x86 processor gives
/// when it converts to 64 bits, which is what the reference shows.
#[inline]
fn bits_of(score: f64) -> u64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    const TOP: u64 = 1 << 63;
    if score < -TWO_TO_63 {
        TOP
    } else if score < TWO_TO_63 {
        score as i64 as u64
    } else if score < 2.0 * TWO_TO_63 {
        score as u64
    } else {
        0
    }
}

impl Point {
    /// A place that a score can name; `None` outside the limits of either coordinate.
    #[inline]
    pub fn new(lon: f64, lat: f64) -> Option<Point> {
        (LON.holds(lon) && LAT.holds(lat)).then_some(Point { lon, lat })
    }

    /// The score of the cell that the place lies in.
    #[inline]
    pub fn score(self) -> u64 {
        Cell::of(self, STEPS).bits()
    }

    /// The middle of a score's cell.
    #[inline]
    pub fn of_score(score: f64) -> Point {
        let bits = bits_of(score);
        Point { lon: LON.middle(gather(bits >> 1)), lat: LAT.middle(gather(bits)) }
    }

    /// The usual geohash, 11 characters: made anew with latitudes from pole to pole. 52 bits are two and a half characters
    /// short of it, so the last one is always 0.
    pub fn text(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        const POLES: Axis = Axis { min: -90.0, max: 90.0 };
        let bits = spread(POLES.cell(self.lat, STEPS)) | spread(LON.cell(self.lon, STEPS)) << 1;
        let mut text = [b'0'; 11];
        for (nth, letter) in text[..10].iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (47 - 5 * nth) & 31) as usize];
        }
        text
    }

    /// Metres to another place along a great circle (haversine).
    pub fn distance_m(self, other: Point) -> f64 {
        Centre::of(self).distance_m(other)
    }
}

/// A place from which many distances are measured.
#[derive(Clone, Copy)]
struct Centre {
    point: Point,
    lon_rad: f64,
    lat_rad: f64,
    cos_lat: f64,
}

impl Centre {
    fn of(point: Point) -> Centre {
        let (lon_rad, lat_rad) = (point.lon * RADIANS, point.lat * RADIANS);
        Centre { point, lon_rad, lat_rad, cos_lat: lat_rad.cos() }
    }

    /// Metres along the meridian to another latitude.
    #[inline]
    fn lat_distance_m(&self, lat: f64) -> f64 {
        EARTH_RADIUS_M * (lat * RADIANS - self.lat_rad).abs()
    }

    /// Metres to another place.
    #[inline]
    fn distance_m(&self, to: Point) -> f64 {
        let half_lon = ((to.lon * RADIANS - self.lon_rad) / 2.0).sin();
        if half_lon == 0.0 {
            return self.lat_distance_m(to.lat);
        }
        let lat_rad = to.lat * RADIANS;
        let half_lat = ((lat_rad - self.lat_rad) / 2.0).sin();
        let chord = half_lat * half_lat + self.cos_lat * lat_rad.cos() * half_lon * half_lon;
        2.0 * EARTH_RADIUS_M * chord.sqrt().asin()
    }
}

/// A cell of some number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    lon: u32,
    lat: u32,
    steps: u32,
}

impl Cell {
    #[inline]
    fn of(point: Point, steps: u32) -> Cell {
        Cell { lon: LON.cell(point.lon, steps), lat: LAT.cell(point.lat, steps), steps }
    }

    #[inline]
    fn bits(self) -> u64 {
        spread(self.lat) | spread(self.lon) << 1
    }

    /// The cell so many columns east and rows north; the map goes on at its other edge.
    fn beside(self, east: i32, north: i32) -> Cell {
        let mask = (1u32 << self.steps) - 1;
        let moved = |cell: u32, by: i32| if by == 0 { cell } else { cell.wrapping_add_signed(by) & mask };
        Cell { lon: moved(self.lon, east), lat: moved(self.lat, north), steps: self.steps }
    }

    /// Western and eastern edge.
    fn lon_bounds(self) -> (f64, f64) {
        LON.bounds(self.lon, self.steps)
    }

    /// Southern and northern edge.
    fn lat_bounds(self) -> (f64, f64) {
        LAT.bounds(self.lat, self.steps)
    }

    /// The first score in it and the first behind it.
    fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        ((self.bits() << shift) as f64, (self.bits().wrapping_add(1) << shift) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn known_places_have_known_scores_and_texts() {
        // From the reference's documentation.
        let palermo = Point { lon: 13.361389, lat: 38.115556 };
        let catania = Point { lon: 15.087269, lat: 37.502669 };
        assert_eq!(palermo.score(), 3_479_099_956_230_698);
        assert_eq!(catania.score(), 3_479_447_370_796_909);
        let (palermo, catania) = (Point::of_score(palermo.score() as f64), Point::of_score(catania.score() as f64));
        assert_eq!((&palermo.text(), &catania.text()), (b"sqc8b49rny0", b"sqdtr74hyu0"));
        assert_eq!(format!("{:.4}", palermo.distance_m(catania)), "166274.1516");
        assert_eq!(palermo.distance_m(palermo), 0.0);
    }

    #[test]
    fn any_score_is_read_as_the_reference_reads_it() {
        let ends = [(-1.0, 180.0, 85.05112878), (f64::NEG_INFINITY, 180.0, -85.05112751263943)];
        let starts = [0.0, f64::INFINITY, 1e300].map(|score| (score, -179.99999731779099, -85.05112751263943));
        for (score, lon, lat) in ends.into_iter().chain(starts) {
            assert_eq!(Point::of_score(score), Point { lon, lat }, "{score}");
        }
    }

    #[test]
    fn the_limits_are_places_and_what_is_beyond_is_none() {
        for (lon, lat) in [(180.0, 85.05112878), (-180.0, -85.05112878)] {
            let point = Point::new(lon, lat).expect("the limits are places");
            let back = Point::of_score(point.score() as f64);
            assert!(point.distance_m(back) < 1.0);
        }
        assert_eq!(Point::new(180.0000001, 0.0), None);
        assert_eq!(Point::new(0.0, f64::INFINITY), None);
        assert_eq!(Point::new(f64::NAN, 0.0), None);
    }

    #[test]
    fn a_place_comes_back_within_half_a_metre_and_lies_in_its_cells() {
        let mut rng = Rng::seeded(6);
        for _ in 0..5_000 {
            let unit = |rng: &mut Rng| rng.next_u64() as f64 / u64::MAX as f64;
            let point = Point { lon: unit(&mut rng) * 360.0 - 180.0, lat: unit(&mut rng) * 170.0 - 85.0 };
            let score = point.score() as f64;
            assert!(point.distance_m(Point::of_score(score)) < 0.5);
            let steps = 1 + rng.below(26) as u32;
            let cell = Cell::of(point, steps);
            let ((west, east), (south, north)) = (cell.lon_bounds(), cell.lat_bounds());
            assert!((west..=east).contains(&point.lon) && (south..=north).contains(&point.lat));
            let (min, end) = cell.scores();
            assert!((min..end).contains(&score));
            assert_eq!(cell.beside(1, -1).beside(-1, 1), cell);
            assert_eq!((gather(cell.bits()), gather(cell.bits() >> 1)), (cell.lat, cell.lon));
        }
    }
}
