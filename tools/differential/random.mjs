// A small generator of random numbers (mulberry32): the same seed gives the same cases everywhere.

export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** 0 <= x < 1 */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  }

  /** from <= n <= to */
  int(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  /** Some elements, in their order. */
  some(list, probability = 0.5) {
    return list.filter(() => this.chance(probability));
  }

  /** `count` values of `make`. */
  times(count, make) {
    return Array.from({ length: count }, (_, at) => make(at));
  }

  hex(length) {
    return this.times(length, () => this.int(0, 15).toString(16)).join("");
  }
}
