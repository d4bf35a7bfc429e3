/* Instants as text: RFC 3339, milliseconds, UTC. */

#ifndef MOORLINE_INSTANTS_H
#define MOORLINE_INSTANTS_H

#include <stdint.h>

#define LAST_INSTANT INT64_C(253402300799999)
#define INSTANT_BYTES 24 /* 2023-11-14T22:13:20.000Z */

static void
digits(char *end, unsigned value, int count)
{
    for (; count > 0; count--, value /= 10)
        *--end = (char)('0' + value % 10);
}

/* Writes INSTANT_BYTES of an instant, or of the nearest one from 0 to LAST_INSTANT.
 *
 * A year begins in March here, so that the day a leap year adds is its last; 153 days are the five
 * months from March, or from August. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * civil_from_days. */
static void
write_instant(char *text, int64_t ms)
{
    ms = ms < 0 ? 0 : ms > LAST_INSTANT ? LAST_INSTANT : ms;
    const unsigned of_day = (unsigned)(ms % 86400000);
    const unsigned days = (unsigned)(ms / 86400000) + 719468; /* since 1 March of the year 0 */
    const unsigned era = days / 146097;                       /* of 400 years */
    const unsigned of_era = days % 146097;
    const unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
    const unsigned is_next_year = month >= 10;

    digits(text + 4, era * 400 + year + is_next_year, 4);
    text[4] = '-';
    digits(text + 7, is_next_year ? month - 9 : month + 3, 2);
    text[7] = '-';
    digits(text + 10, of_year - (153 * month + 2) / 5 + 1, 2);
    text[10] = 'T';
    digits(text + 13, of_day / 3600000, 2);
    text[13] = ':';
    digits(text + 16, of_day / 60000 % 60, 2);
    text[16] = ':';
    digits(text + 19, of_day / 1000 % 60, 2);
    text[19] = '.';
    digits(text + 23, of_day % 1000, 3);
    text[23] = 'Z';
}

#endif
