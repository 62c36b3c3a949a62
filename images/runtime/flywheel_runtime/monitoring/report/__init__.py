"""The report of a run: report.json has everything, report.html is for people, and facts are what the operator shows.

document.py   report.json
page.py       report.html, from report.json alone
html.py       tables and sections
service_section.py   errors and latencies
fairness_page.py     groups of rows
labelled_page.py     calibration, curves and slices of labelled rows
charts.py     SVG
importance.py the order of the columns
labelled.py, fairness_report.py  what report.json and the conditions say of labels and of fairness
sentences.py  findings and the state of each signal in text
facts.py      at most 2,000 bytes for the operator
"""
