echo 'Flight does not answer'
exit 75
