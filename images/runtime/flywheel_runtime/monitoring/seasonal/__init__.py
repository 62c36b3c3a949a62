"""References that follow the season: hour_of_week.py has one for each hour of the week, learnt from a version's first four weeks."""
