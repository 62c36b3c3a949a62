"""The report of a run: report.json has everything, report.html is for people, and facts are what the operator shows.

document.py   report.json
page.py       report.html, from report.json alone
html.py       tables and sections
service_section.py   errors and latencies
charts.py     SVG
importance.py the order of the columns
sentences.py  findings and the state of each signal in text
facts.py      at most 2,000 bytes for the operator
"""
