//! Places of a sorted set within a circle or a box. Knows no key, no reply.
//!
//! 1. The steps at which a cell is about as large as the shape follow from its radius and latitude.
//! 2. The cell of the centre and its eight neighbours cover the shape; if they don't quite, one step fewer does. Those that the
//!    shape's bounding box does not reach are left out.
//! 3. Each cell is one range of scores. They are read in the order centre, north, south, east, west, north-east, north-west,
//!    south-east, south-west, which is the order of results that nobody asked to sort.
//! 4. Of each score the place is made; most are refused by two comparisons of degrees before a sine is computed.

use super::{Cell, Centre, EARTH_RADIUS_M, Point, RADIANS, STEPS};
use crate::types::{MemberRef, ZSetRef};

/// Half of the map's circumference, metres.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
/// Latitudes from which on cells are so narrow that fewer steps are needed.
const NARROW_LAT: f64 = 66.0;
const NARROWER_LAT: f64 = 80.0;
/// Degrees that a comparison must be off before a place is refused by it alone: more than all rounding.
const SLACK: f64 = 1e-9;

/// What is searched, all lengths in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Area {
    /// All places so near.
    Radius(f64),
    /// A box about the centre.
    Box {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
}

/// A place that was found.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// Metres from the centre.
    pub distance_m: f64,
    /// Its score.
    pub score: f64,
    /// Its member.
    pub member: MemberRef<'a>,
}

/// Degrees that the shape reaches, as the covering is computed: near a pole or the date line they go beyond the map.
struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Area {
    /// Half of the width and of the height.
    fn halves(self) -> (f64, f64) {
        match self {
            Area::Radius(radius) => (radius, radius),
            Area::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        }
    }

    /// Metres to its farthest point.
    fn reach_m(self) -> f64 {
        match self {
            Area::Radius(radius) => radius,
            Area::Box { width_m, height_m } => ((width_m / 2.0).powi(2) + (height_m / 2.0).powi(2)).sqrt(),
        }
    }

    fn bounds(self, centre: Point) -> Bounds {
        let (half_width, half_height) = self.halves();
        let lat_delta = half_height / EARTH_RADIUS_M / RADIANS;
        // The parallel that is nearer to a pole is shorter: there the shape spans more degrees.
        let far_lat = if centre.lat < 0.0 { centre.lat - lat_delta } else { centre.lat + lat_delta };
        let lon_delta = half_width / EARTH_RADIUS_M / (far_lat * RADIANS).cos() / RADIANS;
        Bounds {
            west: centre.lon - lon_delta,
            south: centre.lat - lat_delta,
            east: centre.lon + lon_delta,
            north: centre.lat + lat_delta,
        }
    }
}

/// Step 1.
fn estimated_steps(reach_m: f64, lat: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS;
    }
    let (mut reach_m, mut steps) = (reach_m, 1i32);
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        steps += 1;
    }
    steps -= 2;
    if lat.abs() > NARROW_LAT {
        steps -= 1;
        if lat.abs() > NARROWER_LAT {
            steps -= 1;
        }
    }
    steps.clamp(1, STEPS as i32) as u32
}

/// Steps 2 and 3: the cells to read, in order.
fn cover(centre: Point, area: Area) -> Vec<Cell> {
    let bounds = area.bounds(centre);
    let mut steps = estimated_steps(area.reach_m(), centre.lat);
    let is_covered = |cell: Cell| {
        cell.beside(0, 1).lat_bounds().1 >= bounds.north
            && cell.beside(0, -1).lat_bounds().0 <= bounds.south
            && cell.beside(1, 0).lon_bounds().1 >= bounds.east
            && cell.beside(-1, 0).lon_bounds().0 <= bounds.west
    };
    if steps > 1 && !is_covered(Cell::of(centre, steps)) {
        steps -= 1;
    }
    let middle = Cell::of(centre, steps);
    let ((west, east), (south, north)) = (middle.lon_bounds(), middle.lat_bounds());
    // With one step the neighbours are everywhere at once.
    let is_useless = |columns: i32, rows: i32| {
        steps >= 2
            && (columns > 0 && east > bounds.east
                || columns < 0 && west < bounds.west
                || rows > 0 && north > bounds.north
                || rows < 0 && south < bounds.south)
    };
    const ORDER: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    let mut cells = Vec::with_capacity(9);
    cells.push(middle);
    for (columns, rows) in ORDER {
        let cell = middle.beside(columns, rows);
        // Of so few cells two neighbours may be one; they follow each other. The centre is not compared.
        let again = cells.len() > 1 && cells.last() == Some(&cell);
        if !again && !is_useless(columns, rows) {
            cells.push(cell);
        }
    }
    cells
}

/// The exact question, and a cheap one that refuses most places before it.
struct Filter {
    centre: Centre,
    area: Area,
    /// Degrees of latitude from the centre beyond which nothing is in the shape.
    lat_degrees: f64,
    /// The same for the longitude.
    lon_degrees: f64,
}

impl Filter {
    fn new(centre: Point, area: Area) -> Filter {
        let (half_width, half_height) = area.halves();
        let lat_degrees = half_height / EARTH_RADIUS_M / RADIANS * (1.0 + SLACK) + SLACK;
        let centre = Centre::of(centre);
        // A place within `d` metres whose latitude is no further off than `lat_degrees` fulfils
        // cos(lat) * cos(its lat) * sin(lon difference / 2)^2 <= sin(d / 2R)^2. A box measures along the place's own parallel,
        // where both cosines are the place's.
        let far_lat = (centre.point.lat.abs() + lat_degrees) * RADIANS;
        let far_cos = if far_lat < std::f64::consts::FRAC_PI_2 { far_lat.cos() } else { 0.0 };
        let cosines = far_cos * if matches!(area, Area::Radius(_)) { centre.cos_lat } else { far_cos };
        let half_angle = half_width / EARTH_RADIUS_M / 2.0;
        let sine = if half_angle < std::f64::consts::FRAC_PI_2 { half_angle.sin() / cosines.sqrt() } else { 1.0 };
        // Written so that what is not a number refuses nothing.
        let lon_degrees = if sine < 1.0 { 2.0 * sine.asin() / RADIANS * (1.0 + SLACK) + SLACK } else { 360.0 };
        Filter { centre, area, lat_degrees, lon_degrees }
    }

    /// Metres from the centre, if the place is in the shape.
    #[inline]
    fn distance_m(&self, place: Point) -> Option<f64> {
        let (lon_off, lat_off) = ((place.lon - self.centre.point.lon).abs(), (place.lat - self.centre.point.lat).abs());
        if lat_off > self.lat_degrees || (lon_off > self.lon_degrees && 360.0 - lon_off > self.lon_degrees) {
            return None;
        }
        match self.area {
            Area::Radius(radius) => {
                let distance = self.centre.distance_m(place);
                if distance > radius { None } else { Some(distance) }
            }
            Area::Box { width_m, height_m } => {
                if self.centre.lat_distance_m(place.lat) > height_m / 2.0 {
                    return None;
                }
                let beside = Point { lon: self.centre.point.lon, lat: place.lat };
                if place.distance_m(beside) > width_m / 2.0 {
                    return None;
                }
                Some(self.centre.distance_m(place))
            }
        }
    }
}

/// The places of a set within an area, in the order of step 3; no more than `most`, if that is not 0.
pub fn search<'a>(zset: ZSetRef<'a>, centre: Point, area: Area, most: usize) -> Vec<Found<'a>> {
    let filter = Filter::new(centre, area);
    let mut found = Vec::new();
    for cell in cover(centre, area) {
        let (min, end) = cell.scores();
        zset.scores(min, end, |score, member| {
            if let Some(distance_m) = filter.distance_m(Point::of_score(score)) {
                found.push(Found { distance_m, score, member });
            }
            most == 0 || found.len() < most
        });
        if most != 0 && found.len() >= most {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::Hasher;
    use crate::base::rng::Rng;
    use crate::types::{AddOptions, Entry, Limits, Value, ZSet, ZSetMut};

    fn unit(rng: &mut Rng) -> f64 {
        rng.next_u64() as f64 / u64::MAX as f64
    }

    fn place(rng: &mut Rng, about: Option<Point>) -> Point {
        match about {
            Some(about) => {
                let lon = (about.lon + unit(rng) * 8.0 - 4.0 + 180.0).rem_euclid(360.0) - 180.0;
                Point { lon, lat: (about.lat + unit(rng) * 8.0 - 4.0).clamp(-85.0, 85.0) }
            }
            None => Point { lon: unit(rng) * 360.0 - 180.0, lat: unit(rng) * 170.0 - 85.0 },
        }
    }

    fn is_in(centre: Point, area: Area, place: Point) -> bool {
        match area {
            Area::Radius(radius) => centre.distance_m(place) <= radius,
            Area::Box { width_m, height_m } => {
                Centre::of(centre).lat_distance_m(place.lat) <= height_m / 2.0
                    && place.distance_m(Point { lon: centre.lon, lat: place.lat }) <= width_m / 2.0
            }
        }
    }

    fn filled(limits: &Limits, places: &[Point]) -> Entry {
        let mut entry = ZSet::create(b"key", limits, 0);
        let mut zset = ZSetMut::of(&mut entry, limits);
        for (nth, place) in places.iter().enumerate() {
            zset.add(nth.to_string().as_bytes(), place.score() as f64, AddOptions::default());
        }
        entry
    }

    #[test]
    fn finds_what_looking_at_every_place_finds() {
        for seed in 0..60 {
            println!("seed {seed}");
            let mut rng = Rng::seeded(seed);
            let entries = if seed % 3 == 0 { 1_000 } else { 0 };
            let limits = Limits { zset_entries: entries, ..Limits::new(Hasher::seeded([1, 2, 3, seed])) };
            let centre = place(&mut rng, None);
            let about = (seed % 4 != 0).then_some(centre);
            let places: Vec<Point> = (0..400).map(|_| place(&mut rng, about)).collect();
            let entry = filled(&limits, &places);
            for _ in 0..30 {
                // From metres to the whole earth, small ones more often.
                let mut length = || 10f64.powf(1.0 + unit(&mut rng) * 6.6);
                let area = if seed % 2 == 0 {
                    Area::Radius(length())
                } else {
                    Area::Box { width_m: length(), height_m: length() }
                };
                let mut got: Vec<usize> = search(ZSet::view(entry.view()), centre, area, 0)
                    .iter()
                    .map(|found| String::from_utf8(found.member.elem().to_vec()).unwrap().parse().unwrap())
                    .collect();
                got.sort_unstable();
                let rounded = |place: &Point| Point::of_score(place.score() as f64);
                let filter = Filter::new(centre, area);
                for (nth, place) in places.iter().enumerate() {
                    let is_in = is_in(centre, area, rounded(place));
                    assert_eq!(filter.distance_m(rounded(place)).is_some(), is_in, "{centre:?} {area:?} {place:?}");
                    // Beyond a quarter of the earth the cells do not cover everything, as in the reference.
                    if area.reach_m() < 1_000_000.0 && centre.lat.abs() < 70.0 {
                        assert_eq!(got.binary_search(&nth).is_ok(), is_in, "{centre:?} {area:?} {place:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_limit_ends_the_search() {
        let limits = Limits::new(Hasher::seeded([1, 2, 3, 4]));
        let mut rng = Rng::seeded(3);
        let centre = Point { lon: 10.0, lat: 50.0 };
        let places: Vec<Point> = (0..300).map(|_| place(&mut rng, Some(centre))).collect();
        let entry = filled(&limits, &places);
        let scores = |most: usize| -> Vec<f64> {
            search(ZSet::view(entry.view()), centre, Area::Radius(300_000.0), most).iter().map(|f| f.score).collect()
        };
        let all = scores(0);
        for most in [1, 2, 17, all.len(), all.len() + 5] {
            assert_eq!(scores(most), all[..most.min(all.len())]);
        }
    }

    #[test]
    fn a_radius_of_nothing_or_of_everything_is_searched() {
        let limits = Limits::new(Hasher::seeded([1, 2, 3, 4]));
        let centre = Point::of_score(Point { lon: 10.0, lat: 50.0 }.score() as f64);
        let far = Point { lon: -170.0, lat: -50.0 };
        let entry = filled(&limits, &[centre, far]);
        let count = |area| search(ZSet::view(entry.view()), centre, area, 0).len();
        assert_eq!(count(Area::Radius(0.0)), 1);
        assert_eq!(count(Area::Box { width_m: 0.0, height_m: 0.0 }), 1);
        assert_eq!((count(Area::Radius(1e9)), count(Area::Radius(f64::INFINITY))), (2, 2));
    }
}
