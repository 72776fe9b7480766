
/* The search for a fixed point: next_guess() says whether there is a guess to be judged, told() what
   guess - body(guess) is there. Illinois, with a bisection every third step. */
struct search { double a, b, below, above, at, best, size; int step, last; };

static struct search search_of(double lo, double hi)
{
    struct search s = {lo, hi, 0, 0, lo, NAN, INFINITY, -2, 0};
    return s;
}

static int next_guess(struct search *s)
{
    if (s->step == -2) return s->a <= s->b;
    if (s->step == -1) { s->at = s->b; return s->below <= 0; }
    if (s->step == 0) {
        if (!(s->above >= 0)) { s->best = NAN; return 0; }
        s->best = -s->below <= s->above ? s->a : s->b;
        s->size = min_of(-s->below, s->above);
    }
    if (s->step == 300 || s->size == 0) return 0;
    if (s->b - s->a <= 1e-15 * max_of(fabs(s->a), fabs(s->b))) return 0;
    double middle = s->a + (s->b - s->a) / 2;
    double secant = s->a - s->below * ((s->b - s->a) / (s->above - s->below));
    s->at = s->step % 3 != 2 && s->a < secant && secant < s->b ? secant : middle;
    return s->a < s->at && s->at < s->b;
}

static void told(struct search *s, double gap)
{
    int side = gap < 0 ? -1 : 1;
    if (s->step == -2) s->below = gap;
    else if (s->step == -1) s->above = gap;
    else if (gap != gap) { s->best = NAN; s->step = 299; s->b = s->a; }
    else {
        if (fabs(gap) < s->size) { s->best = s->at; s->size = fabs(gap); }
        if (side < 0) {
            s->a = s->at; s->below = gap;
            if (side == s->last) s->above /= 2;
        } else {
            s->b = s->at; s->above = gap;
            if (side == s->last) s->below /= 2;
        }
        s->last = side;
    }
    s->step++;
}
