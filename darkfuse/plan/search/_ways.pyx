"""What `cuts` chooses from, as arrays. See _ways.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free

from darkfuse.plan.layout._grow cimport grown
from darkfuse.plan.search._offers cimport Offer, Offers, choose
from darkfuse.plan.search.option import Option, Recipe

CACHES = "full", "rows", "none"  # as `Offer.cache` numbers them


cdef class Ways:

    def __cinit__(self):
        self.numbers, self.alone = {}, []

    def __dealloc__(self):
        cdef int n
        for n in range(self.count):
            free(self.spans[n].at)
        free(self.spans)

    cdef Offers *between(self, int a, int b) except NULL:
        """The offers of a span; the pointer is good until the next span is asked for."""
        number = self.numbers.get((a, b))
        if number is None:
            self.spans = <Offers *>grown(self.spans, self.count + 1, &self.room, sizeof(Offers))
            self.spans[self.count] = Offers(NULL, 0, 0)
            number = self.numbers[a, b] = self.count
            self.count += 1
        return &self.spans[<int>number]

    def add(self, int a, int b, options):
        offers = self.between(a, b)
        for option in options:
            choose(offers, Offer(option[2], 0.0, option[0], option[1], len(self.alone), 1, 1, 0, False, False, 0,
                                  False))
            self.alone.append(option)

    def within(self, int64_t limit):
        cdef Ways found = Ways()
        cdef int n
        found.alone = self.alone[:]
        for (a, b), number in self.numbers.items():
            offers, few = &self.spans[<int>number], found.between(a, b)
            few.at = <Offer *>grown(few.at, offers.count + 1, &few.room, sizeof(Offer))
            for n in range(offers.count):
                if offers.at[n].stage + offers.at[n].pinned <= limit:
                    few.at[few.count] = offers.at[n]
                    few.count += 1
        return found

    cdef object told(self, int a, int b, const Offer *offer):
        if offer.alone >= 0:
            return self.alone[offer.alone]
        return Option(offer.stage, offer.pinned, offer.ms, Recipe(
            a, b, (offer.down, offer.across), CACHES[offer.cache], "direct" if offer.direct else "fast",
            "streamed" if offer.streams else "loaded" if offer.loaded else "pinned", None, offer.streams, offer.lean))
